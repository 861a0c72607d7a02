/** The JSON of lists that are the same for every caller (`session/calls/shared-lists.ts`), by the array of their items. */
import { isObject, type RpcResponse } from './jsonrpc.ts';
import { methods } from './methods.ts';

/** The members of results that have items. */
const ITEMS = [...methods.values()].flatMap(({ lists }) => lists?.items ?? []);

const texts = new WeakMap<object, string>();

/** `items`: nothing changes it from now on. */
export function keepText(items: object, json: string): void {
  texts.set(items, json);
}

/** The JSON of a server's answer. Its members are in the order in which the SDK writes them. */
export function responseJson(answer: RpcResponse): string {
  const { result } = answer;
  if (!isObject(result)) return JSON.stringify(answer);
  for (const name of ITEMS) {
    const items = result[name];
    const text = Array.isArray(items) ? texts.get(items) : undefined;
    if (text === undefined) continue;
    const { [name]: _, ...others } = result;
    const rest = JSON.stringify(others).slice(1);
    return `{"result":{"${name}":${text}${rest === '}' ? '' : ','}${rest},"jsonrpc":"2.0","id":${JSON.stringify(answer.id)}}`;
  }
  return JSON.stringify(answer);
}
