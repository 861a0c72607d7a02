/** Requests in front of a child: what `--tools`, `--tools-once` and `--tools-as-tasks` do with them. */
import type { ServerContext } from '@modelcontextprotocol/server';
import { AnswerError } from '../base/errors/answer-error.ts';
import { callsTool, listsTools } from '../base/protocol/methods.ts';
import { once } from '../durable/once/index.ts';
import { task } from '../durable/tasks/index.ts';
import type { RpcParams, Result } from './child.ts';
import type { ToolRules } from './tool-rules.ts';

/** Sends a request to the child. */
export interface Forwards {
  forward(method: string, params: RpcParams, extra: ServerContext): Promise<Result>;
}

/** Each value of the argument is a key. */
const keyOf = (argument: string) => (params: RpcParams) => {
  const given = (params?.['arguments'] as Readonly<Record<string, unknown>> | undefined)?.[
    argument
  ];
  return typeof given === 'string' ? given : JSON.stringify(given ?? null);
};

export class ToolCalls {
  readonly #rules: ToolRules;
  readonly #child: Forwards;

  constructor(rules: ToolRules, child: Forwards) {
    this.#rules = rules;
    this.#child = child;
  }

  async run(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    if (callsTool(method)) return this.#call(method, params, extra);
    const result = await this.#child.forward(method, params, extra);
    return listsTools(method) ? this.#rules.listed(result) : result;
  }

  #call(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const call = (given: RpcParams, ctx: ServerContext): Promise<Result> =>
      this.#child.forward(method, given, ctx);
    const name = String(params?.['name']);
    if (!this.#rules.exists(name)) throw unknownTool(name);
    const argument = this.#rules.onceArgument(name);
    if (argument !== undefined) return once(call, { key: keyOf(argument) })(params, extra);
    if (this.#rules.runsAsTask(name))
      return task((given: RpcParams, ctx: ServerContext) => call(given, ctx))(params, extra);
    return call(params, extra);
  }
}

const INVALID_PARAMS = -32_602;

/** The same words as those of the SDK's own server. */
const unknownTool = (name: string): AnswerError =>
  new AnswerError({ code: INVALID_PARAMS, message: `Tool ${name} not found` });
