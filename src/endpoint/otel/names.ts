/**
 * The names in spans and metrics. A name that the server has not shown to have is a client's text and becomes `_OTHER`,
 * so no client makes a series or a name of a span.
 */
import { boundedText } from '../../base/shown.ts';
import { addListed, KnownNames } from '../../base/observe/known-names.ts';
import type { RequestAnswer, RunningRequest } from '../../base/options/middleware.ts';
import { callsTool, isLabel, methodOf } from '../../base/protocol/methods.ts';

export class ServerNames {
  /** Methods of the application. */
  readonly #methods = new KnownNames();
  readonly #tools = new KnownNames();
  readonly #prompts = new KnownNames();

  method(method: string): string {
    return isLabel(method) ? method : this.#methods.of(boundedText(method));
  }

  /** The tool or prompt that a request names. */
  target({ method, name }: RunningRequest): string | undefined {
    return name && (callsTool(method) ? this.#tools : this.#prompts).of(boundedText(name));
  }

  /** The run of a request is over. `undefined`: without an answer. */
  learn(request: RunningRequest, answer: RequestAnswer | undefined): void {
    const { method, name, ranTool } = request;
    if (ranTool && name !== undefined) this.#tools.add(boundedText(name));
    const result = answer?.result;
    if (result === undefined) return;
    if (methodOf(method).names?.kind === 'prompt' && name !== undefined)
      this.#prompts.add(boundedText(name));
    if (!isLabel(method)) this.#methods.add(boundedText(method));
    const { lists } = methodOf(method);
    if (lists?.kind === 'tool' && this.#tools.wantsList)
      addListed(result[lists.items], this.#tools, boundedText);
    if (lists?.kind === 'prompt' && this.#prompts.wantsList)
      addListed(result[lists.items], this.#prompts, boundedText);
  }
}
