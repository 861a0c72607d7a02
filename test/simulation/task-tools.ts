/** The server of a world with tasks: tools of every kind, whose handlers tell the ledger what they do. */
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/base/types.ts';
import { type RunningTask, task, type TaskOptions } from '../../src/durable/tasks/index.ts';
import type { SimProcess } from './process.ts';
import type { TaskLedger, TaskRunNote } from './task-ledger.ts';

/** What one call is to do. */
export interface Plan {
  /** Before its questions. */
  readonly steps: number;
  /** How long a step takes. */
  readonly ms: number;
  /** How many questions it asks at once. */
  readonly asks: number;
  /** Whether steps stop when the run is aborted. */
  readonly heeds: boolean;
  /** How often a handler of rounds returns questions. */
  readonly rounds: number;
  /** Calls of `keyed` with the same key are one task. Every other call has a key of its own. */
  readonly key: string;
}

export const TOOLS = [
  'resumes',
  'once',
  'hinted',
  'plain',
  'slow',
  'rounds',
  'roundsOnce',
  'detaches',
  'keyed',
] as const;
export type Tool = (typeof TOOLS)[number];

const OPTIONS: Readonly<Record<Tool, TaskOptions<[Plan, object]>>> = {
  resumes: { afterCrash: 'run', maxAttempts: 30 },
  once: { afterCrash: 'fail' },
  hinted: { maxAttempts: 30 },
  plain: {},
  slow: { when: { slowerThanMs: 30 }, afterCrash: 'run', maxAttempts: 3 },
  rounds: { afterCrash: 'run', maxAttempts: 30 },
  roundsOnce: { afterCrash: 'fail' },
  detaches: { when: 'required', afterCrash: 'run', maxAttempts: 30 },
  keyed: { afterCrash: 'fail', key: ({ key }) => key },
};

export const MOST_ATTEMPTS = Object.fromEntries(
  TOOLS.map((tool) => [tool, OPTIONS[tool].maxAttempts ?? 5]),
);

const PLAN = z.object({
  steps: z.number(),
  ms: z.number(),
  asks: z.number(),
  heeds: z.boolean(),
  rounds: z.number(),
  key: z.string(),
});
const QUESTION = { message: 'Sure?', requestedSchema: { type: 'object' as const, properties: {} } };
const KEYS = ['one', 'two', 'three'];

export class TaskTools {
  readonly #ledger: TaskLedger;
  /** Does the rest of a detached task. */
  readonly #elsewhere: (id: string) => void;

  constructor(ledger: TaskLedger, elsewhere: (id: string) => void) {
    this.#ledger = ledger;
    this.#elsewhere = elsewhere;
  }

  server(process: SimProcess, { serverOptions }: McpEndpointContext): McpServer {
    const server = new McpServer({ name: 'tasks', version: '1' }, serverOptions);
    for (const tool of TOOLS) {
      const annotations = tool === 'hinted' ? { idempotentHint: true } : {};
      const handler = task(
        async (plan: Plan, ctx: { mcpReq: { inputResponses?: object } }, own: RunningTask) => {
          const given = ctx.mcpReq.inputResponses as Answers | undefined;
          const round = Object.keys(given ?? {}).join(',');
          let hasSettled = false;
          const isOver = (): boolean => hasSettled || own.signal?.aborted === true;
          const run = this.#ledger.begins({
            tool,
            key: plan.key,
            process,
            attempt: own.attempt,
            round,
            id: () => own.taskId,
            isOver,
          });
          try {
            return await this.#handle(
              new Handler(this.#ledger, run, process, plan, own),
              tool,
              given,
            );
          } finally {
            hasSettled = true;
          }
        },
        OPTIONS[tool],
      );
      server.registerTool(tool, { inputSchema: PLAN, annotations }, handler as never);
    }
    this.#ledger.once.register(server, process);
    this.#ledger.counters.register(server);
    return server;
  }

  async #handle(handler: Handler, tool: Tool, given: Answers | undefined): Promise<object> {
    await handler.steps();
    if (tool === 'detaches') return handler.own.detach((id) => this.#elsewhere(id));
    const asked =
      tool === 'rounds' || tool === 'roundsOnce' ? await handler.round(given) : await handler.ask();
    return asked ?? handler.finish();
  }
}

type Answers = Readonly<Record<string, { readonly content?: { readonly said?: string } }>>;

/** One run of a handler. */
class Handler {
  readonly own: RunningTask;
  readonly #ledger: TaskLedger;
  readonly #run: TaskRunNote;
  readonly #process: SimProcess;
  readonly #plan: Plan;

  constructor(
    ledger: TaskLedger,
    run: TaskRunNote,
    process: SimProcess,
    plan: Plan,
    own: RunningTask,
  ) {
    this.own = own;
    this.#ledger = ledger;
    this.#run = run;
    this.#process = process;
    this.#plan = plan;
  }

  async steps(): Promise<void> {
    for (let n = 0; n < this.#plan.steps; n++) await this.#step(String(n));
  }

  async #step(name: string): Promise<void> {
    const isRecorded = this.own.taskId !== undefined;
    const value = await this.own.step(name, async () => {
      this.#ledger.stepBegins(this.#run, name);
      await this.#work();
      return `${name} of run ${this.#run.n}`;
    });
    this.#ledger.isTask(this.#run);
    if (isRecorded) this.#ledger.stepped(this.#run, name, value);
  }

  #work(): Promise<void> {
    const { signal } = this.own;
    return new Promise((over, failed) => {
      this.#process.setTimeout(over, this.#plan.ms);
      if (this.#plan.heeds)
        signal?.addEventListener('abort', () => failed(signal.reason as Error), { once: true });
    });
  }

  /** Waits for its answers. */
  async ask(): Promise<undefined> {
    if (this.#plan.asks === 0) return;
    await this.own.start();
    this.#ledger.isTask(this.#run);
    await Promise.all(
      KEYS.slice(0, this.#plan.asks).map(async (key) => {
        const { content } = await this.own.elicit(key, QUESTION);
        this.#ledger.answered(this.#run, key, String(content?.['said']));
      }),
    );
  }

  /** Returns its questions, until it has all answers. */
  async round(given: Answers | undefined): Promise<object | undefined> {
    const done = (await this.own.state.get<number>('round')) ?? 0;
    const names = KEYS.slice(0, Math.max(1, this.#plan.asks));
    if (given !== undefined) {
      for (const name of names) {
        const [key, answer] = Object.entries(given).find(([own]) => own.startsWith(name)) ?? [];
        this.#ledger.answered(this.#run, numbered(name, round(key)), String(answer?.content?.said));
      }
    }
    const next = given === undefined ? 1 : round(Object.keys(given)[0]) + 1;
    await this.own.state.set('round', Math.max(done, next));
    if (next > this.#plan.rounds) return undefined;
    // The handler names its round, so that it can tell which answers it got.
    const asked = names.map((name) => [`${name}${next}`, inputRequired.elicit(QUESTION)] as const);
    return inputRequired({ inputRequests: Object.fromEntries(asked) });
  }

  async finish(): Promise<object> {
    await this.#step('last');
    return { content: [{ type: 'text', text: `by run ${this.#run.n}` }] };
  }
}

const round = (name = ''): number => Number(/\d+$/.exec(name)?.[0] ?? '0');
/** The key of a question in the record. */
const numbered = (name: string, of: number): string => `${name}${of}`;
