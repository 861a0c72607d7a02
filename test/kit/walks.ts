/** The ways of a call that pages walk, and others that `npm run ways` measures. */
import type { ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { RunningTask } from '../../src/durable/tasks/index.ts';
import { live as liveTool, type LiveObject } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { held, openRun } from '../durable/tasks/kit.ts';
import { as, auth, serveScripted } from '../stdio/serving.ts';
import { type FleetOptions, type Member, serveFleet, serveMember } from './fleet.ts';
import { createLab, textOf, tool } from './lab.ts';
import { callModern } from './modern.ts';
import type { RawClient } from './raw-client.ts';
import { inLab } from './sessions.ts';
import { sharedStore } from './shared-stores.ts';
import { said } from './tool-server.ts';
import { until } from './until.ts';

/** So often the call of a way can be made. */
export const CALLS = 9;

interface Opened {
  /** Before each call. */
  before?(): Promise<unknown>;
  call(): Promise<unknown>;
}

export interface Walk {
  /** The heading of its table in ARCHITECTURE.md or in docs/internals/programs.md. */
  readonly heading?: string;
  open(): Promise<Opened>;
}

const IDLE_MS = 65_000;
const ECHO = tool('echo', { text: 'hello' });

async function called(sent: Promise<{ readonly message: unknown }>): Promise<void> {
  const text = textOf((await sent).message);
  if (text !== 'hello') throw new Error(`the call was answered with ${text}`);
}

/** `a` owns the session of `onA`; `onB` speaks in it through the other instance. */
interface Fleet {
  readonly a: Member;
  readonly onA: RawClient;
  readonly onB: RawClient;
  /** Another session of `a`, as `onB`. */
  another(): Promise<RawClient>;
}

async function openFleet(options?: FleetOptions): Promise<Fleet> {
  const [a, b] = await serveFleet(2, options, [{ face: 'node' }, { face: 'node' }]);
  const onA = await a.openSession();
  return { a, onA, onB: b.join(onA), another: async () => b.join(await a.openSession()) };
}

async function live(options?: FleetOptions) {
  const { onA } = await openFleet(options);
  return { call: () => called(onA.call(...ECHO)) };
}

/** Two instances, the first of which has the object of a handle. */
async function openDesks() {
  const desk = liveTool(
    { kind: 'desk', id: ({ id }: { id?: string | undefined }) => id, open: () => ({ calls: 0 }) },
    (
      _: { id?: string | undefined },
      _ctx: ServerContext,
      { handle }: LiveObject<{ calls: number }>,
    ) => said(handle.created ? handle.id : 'hello'),
  );
  const store = memory();
  const member = () =>
    serveMember(
      { store },
      { face: 'node' },
      createLab((server) =>
        server.registerTool('desk', { inputSchema: z.object({ id: z.string().optional() }) }, desk),
      ),
    );
  const [a, b] = [await member(), await member()];
  const onA = await a.openSession();
  const id = textOf((await onA.call(...tool('desk'))).message);
  return { onA, b, named: tool('desk', { id }) };
}

/** An endpoint whose tool runs as a task until the end of the test. */
async function openTasks() {
  const effects = held();
  const runs: RunningTask[] = [];
  const { client } = await openRun((own) => {
    runs.push(own);
    return effects.wait(own.signal);
  });
  return { client, running: () => until(() => runs.at(-1)) as Promise<RunningTask> };
}

export const WALKS: Readonly<Record<string, Walk>> = {
  live: { heading: 'The session is live here', open: live },
  'live, SQLite': { open: () => live({ store: sharedStore('sqlite') }) },
  restored: {
    heading: 'No living owner',
    async open() {
      const { a, another } = await openFleet();
      const clients: RawClient[] = [];
      for (let n = 0; n < CALLS; n++) clients.push(await another());
      await a.endpoint.close({ timeoutMs: 0 });
      return { call: () => called((clients.pop() as RawClient).call(...ECHO)) };
    },
  },
  relayed: {
    heading: 'Another instance owns it',
    async open() {
      const { onB } = await openFleet();
      return { call: () => called(onB.call(...ECHO)) };
    },
  },
  '2026-07-28': {
    heading: '2026-07-28',
    async open() {
      const { a } = await openFleet();
      const client = a.client();
      return { call: () => called(callModern(client, ...ECHO)) };
    },
  },
  'the start of a task': {
    async open() {
      const { client } = await openTasks();
      return { call: () => client.start('run') };
    },
  },
  'a step of a task': {
    async open() {
      const { client, running } = await openTasks();
      await client.start('run');
      const own = await running();
      let n = 0;
      return { call: () => own.step(`step ${(n += 1)}`, () => n) };
    },
  },
  'the end of an idle session': {
    async open() {
      const time = createFakeTime();
      const { openSession } = await inLab({ timeProvider: time, idleTimeoutMs: IDLE_MS });
      return {
        async before() {
          await openSession();
          await time.advance(IDLE_MS - 1);
        },
        call: () => time.advance(1),
      };
    },
  },
  'a child on stdio, 2025-11-25': {
    heading: 'A call of a session',
    async open() {
      const { openSession } = await serveScripted();
      const session = await openSession();
      return { call: () => called(session.call(...ECHO)) };
    },
  },
  'a child on stdio, 2026-07-28': {
    heading: 'A call of 2026-07-28',
    async open() {
      const { client } = await serveScripted({}, { auth });
      const ann = client(as('ann'));
      return { call: () => called(callModern(ann, ...ECHO)) };
    },
  },
  // Last: from here on this process looks in each call for tools of `live()`.
  'live() here': {
    async open() {
      const { onA, named } = await openDesks();
      return { call: () => called(onA.call(...named)) };
    },
  },
  'live() elsewhere': {
    heading: 'Its live object is at another instance',
    async open() {
      const { b, named } = await openDesks();
      const onB = await b.openSession();
      return { call: () => called(onB.call(...named)) };
    },
  },
  'live() elsewhere, 2026-07-28': {
    async open() {
      const { b, named } = await openDesks();
      const client = b.client();
      return { call: () => called(callModern(client, ...named)) };
    },
  },
};
