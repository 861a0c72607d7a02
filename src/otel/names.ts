/**
 * The names in spans and metrics. A name that the server has not shown to have is a client's text and becomes `_OTHER`,
 * so no client makes a series or a name of a span.
 */
import { boundedText } from '../base/shown.ts';
import { addListed, KnownNames } from '../observe/few.ts';
import { isMcpMethod } from '../observe/metrics.ts';
import type { RequestAnswer, RunningRequest } from '../options/around-request.ts';

export class ServerNames {
  /** Methods of the application. */
  readonly #methods = new KnownNames();
  readonly #tools = new KnownNames();
  readonly #prompts = new KnownNames();

  method(method: string): string {
    return isMcpMethod(method) ? method : this.#methods.of(boundedText(method));
  }

  /** The tool or prompt that a request names. */
  target({ method, name }: RunningRequest): string | undefined {
    return name && (method === 'tools/call' ? this.#tools : this.#prompts).of(boundedText(name));
  }

  /** The run of a request is over. `undefined`: without an answer. */
  learn(request: RunningRequest, answer: RequestAnswer | undefined): void {
    const { method, name, ranTool } = request;
    if (ranTool && name !== undefined) this.#tools.add(boundedText(name));
    const result = answer?.result;
    if (result === undefined) return;
    if (method === 'prompts/get' && name !== undefined) this.#prompts.add(boundedText(name));
    if (!isMcpMethod(method)) this.#methods.add(boundedText(method));
    if (method === 'tools/list' && this.#tools.wantsList) addListed(result['tools'], this.#tools, boundedText);
    if (method === 'prompts/list' && this.#prompts.wantsList) addListed(result['prompts'], this.#prompts, boundedText);
  }
}
