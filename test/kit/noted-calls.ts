/** The calls of a session without a server, a client and a store: each of its parts notes what it is asked for. */
import type { SojournError } from '../../src/errors.ts';
import type { CallerRequest } from '../../src/http/exchange.ts';
import type { RpcRequest, RpcResponse } from '../../src/protocol/jsonrpc.ts';
import { Call } from '../../src/session/calls/call.ts';
import { SessionCalls } from '../../src/session/calls/session-calls.ts';
import type { ListPage } from '../../src/session/calls/shared-lists.ts';
import type { PendingListChanges } from '../../src/session/streams/pending-list-changes.ts';
import { GET_STREAM } from '../../src/session/streams/event-id.ts';
import { Stream } from '../../src/session/streams/stream.ts';
import { notedLog, notedSink, soon } from './noted-streams.ts';

export const request = (id: number, method = 'tools/call'): RpcRequest => ({ jsonrpc: '2.0', id, method });
export const result = (id: number): RpcResponse => ({ jsonrpc: '2.0', id, result: {} });
export const text = (id: number): string => JSON.stringify(result(id));

export interface CallsGiven {
  readonly logged?: boolean;
  readonly late?: boolean;
  readonly resumes?: boolean;
  /** Whether other processes share the store. */
  readonly durable?: boolean;
  readonly isRelayed?: boolean;
  readonly quirk?: boolean;
  readonly getSink?: boolean;
  /** Whether the application has code around its requests. */
  readonly around?: boolean;
  /** The form of errors; they are shorter in tests that only note them. */
  readonly errors?: 'json';
  /** What the lists that all callers share have of a page. */
  readonly page?: Pick<ListPage, 'keep' | 'known'>;
}

/** The calls of a session. `seen`: what its parts and its clients get, in order. */
export function callsOf({ logged = true, durable = true, quirk = false, getSink = false, ...given }: CallsGiven = {}) {
  const seen: unknown[] = [];
  const timed: unknown[] = [];
  const noted = notedLog(seen, given);
  const log = logged ? noted.log : undefined;
  const state = { users: 0, left: false, leaseValid: true, throws: undefined as SojournError | undefined };
  let expire: (error: SojournError) => void = () => {};
  let leaseBack: () => void = () => {};
  const say = (what: string) => (call: { id?: unknown }) => void seen.push(`${what} ${call.id}`);
  const getStream = new Stream(GET_STREAM, undefined);
  if (getSink) getStream.use(notedSink(seen, 'GET'));
  const session = {
    id: 's',
    version: '2025-11-25',
    server: undefined,
    streamLog: log,
    getStream,
    hasGetSink: getSink,
    record: { initialized: true, getPrimed: false, setLogLevel: (level: string) => seen.push(`level ${level}`) },
    hasQuirk: () => quirk,
    usedListChanges: { sendOn: (stream: Stream) => stream.send('list changes') } as PendingListChanges,
    logger: { warn: () => seen.push('warns'), debug: () => seen.push('debugs') },
    host: {
      callTimes: {
        start: (_: unknown, { id }: RpcRequest, end: typeof expire) => (timed.push(id), (expire = end)),
      },
      largeAnswers: { note: (name: string) => seen.push(`large ${name}`) },
      lists: given.page && { page: () => given.page },
    },
    ownership: {
      epoch: 2,
      sessionId: 's',
      get left() {
        return state.left;
      },
      get leaseValid() {
        return state.leaseValid;
      },
      untilLeaseValid: () => new Promise<void>((resolve) => (leaseBack = resolve)),
    },
    transport: {
      callOf: ({ id, method }: RpcRequest, source: undefined, stream: Stream | undefined) =>
        new Call(source, undefined, false, id, method, stream),
      around: ({ id }: RpcRequest, _: Call, attempt: number) => {
        if (given.around !== true) return undefined;
        seen.push(`code around ${id}, attempt ${attempt}`);
        const over = (error?: SojournError) => seen.push(`its code gets ${error?.code}`);
        return { start: () => {}, take: () => false, over };
      },
      deliver: ({ id }: RpcRequest) => (seen.push(`dispatched ${id}`), state.throws),
      deliverSilent: ({ params }: { params: { requestId: number } }) => seen.push(`cancelled ${params.requestId}`),
    },
    markers: durable
      ? {
          unmark: say('unmarked'),
          learn: () => seen.push('learnt'),
          before: () => (seen.push('stored with markers'), 'written'),
          ahead: () => ({}),
        }
      : undefined,
    enter: () => (state.users += 1),
    exit: () => (state.users -= 1),
    lostCallJson: ({ id }: { id: unknown }, { code }: SojournError) =>
      given.errors === 'json' ? JSON.stringify({ jsonrpc: '2.0', id, error: code }) : `${id} ${code}`,
  };
  const calls = new SessionCalls(session as unknown as ConstructorParameters<typeof SessionCalls>[0]);
  const held: unknown[] = [];
  const caller = (relayOrigin?: object) =>
    ({ relayOrigin, heldBy: (work: unknown) => held.push(work) }) as unknown as CallerRequest;
  const admit = (messages: readonly RpcRequest[], relayOrigin?: object, answersOnly = false) =>
    calls.admitPost({ caller: caller(relayOrigin), answersOnly, attempt: 1 }, messages, []);
  const sinkOf = (name = 'sink') => notedSink(seen, name, given);
  /** A POST that was stored, and whose requests are dispatched. Later steps are noted. */
  const run = (...messages: RpcRequest[]) => {
    const post = admit(messages);
    void post.stream.storePoint(true);
    post.stream.begin(sinkOf());
    for (const [n, call] of post.calls.entries()) calls.dispatch(messages[n] as RpcRequest, call);
    seen.length = 0;
    return post;
  };
  /** One request with a marker that runs. `origin`: of the instance that relayed it. */
  const runMarked = (origin?: object) => {
    const {
      calls: [call],
      stream,
    } = run(request(1));
    if (call === undefined) throw new Error('not admitted');
    const mark = { name: '1', stream: stream.key };
    call.marker = { mark, origin: origin as never };
    return { call, stream, mark };
  };
  const leaseReturns = (): Promise<void> => ((state.leaseValid = true), leaseBack(), soon());
  const parts = { calls, seen, timed, held, admit, run, runMarked, sinkOf, caller, leaseReturns };
  return { ...noted, ...parts, state, expire: (error: SojournError) => (expire(error), soon()) };
}
