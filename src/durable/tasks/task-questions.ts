/**
 * Questions to the client of a task. A handler that returns questions names them as it likes, each time anew. A client of
 * the extension takes a name that comes back for the question that it has answered, so a name that the task has asked
 * before gets a number.
 */
import { MissingRequiredClientCapabilityError } from '@modelcontextprotocol/server';
import { invalidRequest, type SojournError } from '../../base/errors.ts';
import { quoted } from '../../base/shown.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { methodOf } from '../../base/protocol/methods.ts';
import { uncheckable } from './answer-check.ts';
import {
  FIELD_NAME,
  type InputRequest,
  isFieldName,
  isOpen,
  questionField,
  type Round,
  ROUND_FIELD,
} from './task-record.ts';
import { declaredIn } from './wire-shapes.ts';

const MOST_QUESTIONS = 100;
const MOST_BYTES = 262_144;
/** Room for the answer of each open question: without it a task could not be continued. */
const ANSWER_BYTES = 1_024;

/** The name by which the client answers it. */
function keyOf(name: string, fields: Readonly<Record<string, string>>): string {
  let key = name;
  for (let times = 2; fields[questionField(key)] !== undefined; times++) key = `${name}.${times}`;
  return key;
}

/** The fields that an `input_required` result of a handler adds; an error where it cannot be asked. */
export function askedFields(
  fields: Readonly<Record<string, string>>,
  { inputRequests, requestState }: Readonly<Record<string, unknown>>,
): Record<string, string> | SojournError {
  const asked = isObject(inputRequests) ? Object.entries(inputRequests) : [];
  const added: Record<string, string> = {};
  const all = { ...fields };
  const keys: Array<[string, string]> = [];
  for (const [name, request] of asked) {
    const key = keyOf(name, all);
    const wrong = wrongQuestion(key, request);
    if (wrong !== undefined) return wrong;
    all[questionField(key)] = added[questionField(key)] = JSON.stringify(request);
    keys.push([key, name]);
  }
  const state = typeof requestState === 'string' ? requestState : undefined;
  const next: Round = {
    keys: Object.fromEntries(keys),
    ...(state !== undefined && { requestState: state }),
  };
  all[ROUND_FIELD] = added[ROUND_FIELD] = JSON.stringify(next);
  return tooMany(all) ?? added;
}

/** Why this cannot be asked. A question would stay open whose name comes back changed, or whose form checks nothing. */
export function wrongQuestion(key: string, question: unknown): SojournError | undefined {
  if (!isFieldName(key))
    return invalidRequest(
      `a task asked its client a question named ${quoted(key)}: a name has ${FIELD_NAME}`,
    );
  const why = uncheckable(question);
  if (why === undefined) return undefined;
  return invalidRequest(
    `the requestedSchema of the question ${quoted(key)} of a task is no JSON Schema: ${why}`,
  );
}

/** Why the client of this call may not be asked that, in the words of the SDK about the result of a handler. */
export function undeclared(
  name: string,
  { method, params }: InputRequest,
  call: RpcRequest,
): MissingRequiredClientCapabilityError | undefined {
  const asked = isObject(params) ? params : {};
  const isOfTools = asked['tools'] !== undefined || asked['toolChoice'] !== undefined;
  const [capability, kind] =
    methodOf(method).asks === 'elicitation'
      ? ['elicitation', asked['mode'] === 'url' ? 'url' : 'form']
      : ['sampling', isOfTools ? 'tools' : undefined];
  const declared = declaredIn(call)[capability];
  // A bare declaration of elicitation is one of forms.
  const has =
    isObject(declared) &&
    (kind === undefined || kind in declared || (kind === 'form' && !('url' in declared)));
  if (has) return undefined;
  return new MissingRequiredClientCapabilityError(
    { requiredCapabilities: { [capability]: kind === undefined ? {} : { [kind]: {} } } },
    `Cannot request input ${quoted(name)} (${method}): the client of the call does not declare the required capability`,
  );
}

/** Questions and answers are read each time that the client asks for the task. */
export function tooMany(fields: Readonly<Record<string, string>>): SojournError | undefined {
  const entries = Object.entries(fields).filter(
    ([name]) => /^[qa]/.test(name) || name === ROUND_FIELD,
  );
  const open = entries.filter(([name]) => isOpen(fields, name)).length * ANSWER_BYTES;
  const bytes = entries.reduce(
    (sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text),
    open,
  );
  const questions = entries.filter(([name]) => name.startsWith('q')).length;
  if (questions > MOST_QUESTIONS)
    return invalidRequest(`a task asked its client more than ${MOST_QUESTIONS} questions`);
  if (bytes <= MOST_BYTES) return undefined;
  return invalidRequest(
    `the questions and answers of a task have more than ${MOST_BYTES} bytes: an open one counts ${ANSWER_BYTES} more`,
  );
}
