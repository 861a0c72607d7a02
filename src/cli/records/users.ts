/** `sojourn users forget`: ends and deletes what the store of a deployment keeps of a user. */
import { Budget, MemoryUse, shareKey, storedShare } from '../../base/budget.ts';
import { systemRandom } from '../../base/system.ts';
import { tellDispatcher } from '../../durable/events/event-store.ts';
import { States } from '../../durable/state/states.ts';
import { TaskStore } from '../../durable/tasks/task-store.ts';
import { UNOWNED } from '../../stores/store.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { forgetUser } from '../../endpoint/forget-user.ts';
import { groupOf } from '../../session/record/forgotten-users.ts';
import { isEnded } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordKind, RecordRequest } from './commands.ts';
import { userKeysOf } from './opened-store.ts';
import { tellOfEnds } from './orders.ts';
import { requireYes } from './printing.ts';
import { sessions } from './sessions.ts';

/** The command owns nothing. */
const NONE = { lease: { owner: '', valid: false } };

export const users: RecordKind = {
  show: async (store, request) => (await kept(store, request)).counts,

  /** Forgets the user. */
  async act(store, request) {
    const { counts, taskStore } = await kept(store, request);
    requireYes(counts, 'With --yes all of it ends, and for 24 h nothing new is kept', request);
    const memory = new MemoryUse(new Budget(Infinity, 1));
    const parts = { options: request.options, store, random: systemRandom, memory };
    const states = new States(parts);
    const owned: (readonly [handle: string, owner: string])[] = [];
    states.handles.onEnd = (hash, owner) => void (owner !== null && owned.push([hash, owner]));
    const done = await forgetUser(counts.userKey, {
      store,
      states,
      now: () => request.options.timeProvider.now(),
      ends: {
        session: async (id) => (await sessions.act(store, { ...request, names: [id] })) !== '',
        subscription: async (id) => {
          const isNow = (await store.subscriptions.end(id, UNOWNED, '', 0)) === 'ended';
          if (isNow) await tellDispatcher(store.emits, id, request.options.timeProvider.now());
          return isNow;
        },
        task: async (id) => (await taskStore.end(id, { status: 'cancelled' })) !== undefined,
      },
    });
    await tellOfEnds(store, request, owned);
    const state = `${done.userState ? 'a' : 'no'} state`;
    const ended = `${done.sessions} sessions, ${done.tasks} tasks, ${done.handles} handles`;
    const objects =
      done.objects === 0 ? '' : ` (${done.objects} with an open object, which closes)`;
    const events = done.subscriptions === 0 ? '' : `, ${done.subscriptions} subscriptions`;
    return `forgotten: ${ended}${objects}${events}, ${state}`;
  },
};

/** What is kept of the user that the command names, by name or key. */
async function kept(store: EndpointStore, { names, options }: RecordRequest) {
  const parts = { options, store, random: systemRandom, instance: NONE };
  const taskStore = new TaskStore(parts);
  for (const user of userKeysOf(names[0] ?? '')) {
    const state = await store.states.read(groupOf(user));
    const counts = {
      userKey: user,
      sessions: await store.sessions.countOf(storedShare(shareKey(user))),
      tasks: await store.tasks.count(await taskStore.group(user)),
      handles: await store.handles.count(groupOf(user)),
      subscriptions: await store.subscriptions.count(groupOf(user)),
      userState: state !== undefined && !isEnded(state),
    };
    const { sessions: open, tasks, handles, subscriptions, userState } = counts;
    const isKnown = open + tasks + handles + subscriptions > 0 || userState;
    if (isKnown || names[0]?.startsWith('[')) return { counts, taskStore };
  }
  throw new Failure(
    'nothing is kept of this user: set --deployment to the name of the endpoint; a user whose tokens name an issuer is ' +
      `given by key: '["sub","<issuer>","<subject>"]'`,
  );
}
