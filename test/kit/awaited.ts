/** The waits of a failing test name the functions of `src` below that have not returned, and the links without answers. */
import { Finder } from '../../src/cluster/finder.ts';
import { Link } from '../../src/cluster/instance-link.ts';
import { Links } from '../../src/cluster/links.ts';
import { OwnerDirectory } from '../../src/cluster/owner-directory.ts';
import { Relay } from '../../src/cluster/relay/relay.ts';
import { Restorer } from '../../src/cluster/restorer.ts';
import { FarCalls } from '../../src/durable/live/far-calls.ts';
import { LiveObjects } from '../../src/durable/live/live-objects.ts';
import { OpenObject } from '../../src/durable/live/open-object.ts';
import { OnceLedger } from '../../src/durable/once/ledger.ts';
import { OwnedRecord } from '../../src/durable/records/owned-record.ts';
import { OwnedRecords } from '../../src/durable/records/owned-records.ts';
import { StateChange } from '../../src/durable/state/state-change.ts';
import { WaitingRequests } from '../../src/eras/sessions/waiting.ts';
import { SessionOpener } from '../../src/session/life/session-opener.ts';
import { SessionOwnership } from '../../src/session/ownership/session-ownership.ts';
import { InstanceOfLab } from '../../src/testing/lab/lab-instance.ts';
import { Lab } from '../../src/testing/lab/lab.ts';
import { waitsFor } from './endpoints-now.ts';

const links = new Set<Link>();

function watch<T extends object>(of: { readonly name: string; prototype: T }, ...names: string[]) {
  const methods = of.prototype as Record<string, (...given: unknown[]) => unknown>;
  for (const name of names) {
    const method = methods[name];
    if (method === undefined) throw new Error(`${of.name} has no ${name}`);
    methods[name] = function (this: T, ...given) {
      const promise = method.apply(this, given);
      if (!(promise instanceof Promise)) return promise;
      const detail = typeof given[0] === 'string' ? `(${given[0]})` : '';
      return waitsFor(`${of.name}.${name}${detail}`, promise);
    };
  }
}

watch(Finder, 'find');
watch(Restorer, 'restore');
watch(SessionOwnership, 'claim', 'untilLeaseValid');
watch(SessionOpener, 'open');
watch(WaitingRequests, 'add');
watch(OwnerDirectory, 'ownerOf', 'leftTo');
watch(Links, 'answers', 'suspect');
watch(Link, 'taken');
watch(Relay, 'send');
watch(LiveObjects, 'place', 'run');
watch(FarCalls, 'placed');
watch(OpenObject, 'confirm', 'open', 'close');
watch(OwnedRecords, 'leased', 'reach');
watch(OwnedRecord, 'confirmed', 'reclaim');
watch(OnceLedger, 'run');
watch(StateChange, 'run');
watch(Lab, 'advance', 'until', 'drain', 'stop', 'close');
watch(InstanceOfLab, 'ask');

const { to } = Links.prototype;
Links.prototype.to = function (this: Links, peer: string): Link | undefined {
  const link = to.call(this, peer);
  if (link !== undefined) links.add(link);
  return link;
};

/** Links that have sent what their peer has not acknowledged. */
export const silentLinks = (): string[] =>
  [...links]
    .filter(({ unansweredMs }) => unansweredMs > 0)
    .map(
      ({ peer, unansweredMs, failed }) =>
        `link to ${peer}: ${failed ? 'failed' : 'open'}, unanswered for ${Math.round(unansweredMs)} ms`,
    );

export const forgetLinks = (): void => links.clear();
