/**
 * The way of a call to the instance that has its object, over the link. An instance that was asked in vain says so before
 * anything ran, and the call looks again. Where that instance is lost, the call may have run.
 */
import { callUnreachable, ownerLost, ranTooOften } from '../../base/errors.ts';
import { CallRefusal, thrownAnswer } from '../../base/errors/answer-error.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { LinkSink } from '../../cluster/relay/link-sink.ts';
import type { Relay } from '../../cluster/relay/relay.ts';
import { SentRequest } from '../../cluster/relay/sent-request.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import { attemptKey } from '../../session/calls/attempts.ts';
import type { Call, SessionOfCall } from '../../session/calls/call.ts';
import type { Home } from '../../session/calls/home.ts';
import { noteAttempt, runsBefore } from '../../session/calls/live-tools.ts';
import { isHarmless } from '../../session/calls/markers.ts';
import type { SentSession } from '../../session/inbound/inbound.ts';
import { MOST_RUNS, type RelayOutcome } from '../../session/inbound/retries.ts';
import { pause } from '../../session/record/pause.ts';
import type { OwnedRecords } from '../records/owned-records.ts';
import { FarCall } from './far-call.ts';

/** A call whose arguments name a handle. */
export interface NamedCall {
  readonly call: Call;
  readonly request: RpcRequest;
  readonly home: Home;
  /** The tool as its server has registered it; `undefined`: no server was made for it here. */
  readonly tool: unknown;
}

export class FarCalls {
  readonly #options: Pick<ResolvedOptions, 'timeProvider' | 'maxWaitMs'>;
  readonly #records: OwnedRecords;
  #relay!: Relay;

  constructor(options: Pick<ResolvedOptions, 'timeProvider' | 'maxWaitMs'>, records: OwnedRecords) {
    this.#options = options;
    this.#records = records;
  }

  /** From now on calls may be sent to their objects. */
  sendWith(relay: Relay): void {
    this.#relay = relay;
  }

  /** `find`: the instance that is to serve the call; `undefined`: this one. */
  placed(named: NamedCall, find: () => Promise<string | undefined>): Promise<boolean> {
    const { call, home } = named;
    return this.#pass(named, find).catch((cause: unknown) => {
      if (call.isOver) return false;
      const error = thrownAnswer(call.takeThrown(cause));
      void home.send({ jsonrpc: '2.0', id: call.id ?? 0, error });
      return false;
    });
  }

  async #pass(named: NamedCall, find: () => Promise<string | undefined>): Promise<boolean> {
    const { call, home } = named;
    const { timeProvider: time, maxWaitMs } = this.#options;
    const until = time.monotonic() + maxWaitMs;
    const link = guestLink(call);
    for (let tries = 0; !call.isOver; tries++) {
      const there = await find();
      if (call.isOver) return false;
      if (there === undefined) return true;
      if (link !== undefined) {
        link.handOver(false);
        throw new CallRefusal(ownerLost(false));
      }
      const far = new FarCall(call, home);
      const outcome = await this.#send(named, there, far);
      if (outcome === 'done') return false;
      far.drop();
      if (outcome === 'unreachable') throw new CallRefusal(callUnreachable());
      if (outcome === 'lost') await this.#countRun(named);
      if (time.monotonic() >= until) throw new CallRefusal(ownerLost(runsBefore(call) > 0));
      await pause(time, tries);
    }
    return false;
  }

  /** A call may have run at an instance that is lost. Rejects where it may not run again. */
  async #countRun({ call, request, home, tool }: NamedCall): Promise<void> {
    const runs = runsBefore(call) + 1;
    if (!isHarmless(tool ?? (await home.toolOf?.(request)))) throw new CallRefusal(ownerLost(true));
    if (runs >= MOST_RUNS) throw new CallRefusal(ranTooOften(runs));
    noteAttempt(call, runs + 1);
    const { live, stream, sent, attemptKey: key } = call;
    const ofStream = stream?.logged === true ? stream.key : undefined;
    // A call without a logged stream runs again only where an instance or a proxy has named it.
    if (sent === undefined || (ofStream ?? key) === undefined) return;
    // The next owner of the session runs it no more often than allowed.
    const counted = await this.#records.reach(async () =>
      live?.markers?.countRun(key ?? attemptKey(sent), runs + 1, ofStream),
    );
    if (counted === 'fenced') throw new CallRefusal(ownerLost(true));
  }

  #send({ call, request }: NamedCall, to: string, far: FarCall): Promise<RelayOutcome> {
    const { method, url, absoluteUrl, headers, clientAddress, userKey, authInfo, watched } =
      call.caller as CallerRequest;
    const fields = { method, url, absoluteUrl, headers, address: clientAddress, user: userKey };
    const caller = new SentRequest(fields, authInfo, far);
    caller.watched = watched;
    const runs = runsBefore(call);
    const text = JSON.stringify(request);
    const post = { messages: [], requests: [request], batch: false, only: request, text };
    return this.#relay.send(to, {
      kind: 'handle',
      caller,
      sink: far,
      post,
      requestId: request.id,
      ...(runs > 0 && { mayHaveRun: runs }),
      session: call.live && sessionOf(call.live),
      onReplies: (reply) => void (far.reply = reply),
    });
  }
}

const sessionOf = ({ view, record }: SessionOfCall): SentSession => ({
  id: view.id,
  createdAt: view.createdAt,
  version: view.protocolVersion,
  clientInfo: view.clientInfo,
  capabilities: view.clientCapabilities,
  logLevel: record.head.logLevel,
});

/** The link of a guest: a call that another instance has sent here. */
function guestLink({ caller, live }: Call): LinkSink | undefined {
  const { relayOrigin } = caller as Partial<CallerRequest>;
  return live === undefined && relayOrigin instanceof LinkSink ? relayOrigin : undefined;
}
