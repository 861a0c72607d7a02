/**
 * What must not be left when everything has been calm for a while: two copies of a session, calls without a client that
 * waits.
 */
import type { Call } from './ledger.ts';
import { REPEATABLE } from './server.ts';
import type { World } from './world.ts';

export function checkLeftovers(world: World): void {
  const { ledger, data } = world;
  const forgotten = new Set(ledger.lost.flatMap(({ sessions }) => [...sessions]));
  const owners = new Map<string, string>();
  for (const instance of world.slots) {
    if (instance?.core === undefined) continue;
    for (const session of instance.core.registry.values()) {
      if (forgotten.has(session.id)) continue;
      // Its instance finds out with the next write.
      if (ledger.vanished.has(session.id) && data.record(session.id) === undefined) continue;
      const { name } = instance.process;
      const other = owners.get(session.id);
      if (other !== undefined)
        world.wrong(`session ${session.id} is live on ${other} and on ${name}`);
      owners.set(session.id, name);
      const epoch = data.stored(session.id)?.epoch;
      if (epoch !== session.ownership.epoch)
        world.wrong(
          `${name} holds session ${session.id} at epoch ${session.ownership.epoch}, its record is at ${String(epoch)}`,
        );
      for (const call of ledger.calls)
        if (
          call.session === session.id &&
          isOver(call) &&
          session.calls.running.get(call.id) !== undefined
        )
          world.wrong(
            `${name} still holds the id of ${call.client} ${call.nonce} (id ${call.id}), which ended`,
          );
    }
  }
}

/** So that its instance knows it too: a client that was cut off has sent nothing. */
function isOver({ tool, ending }: Call): boolean {
  // What may run twice may be at it once more, for a stream without a reader.
  if (tool === undefined || REPEATABLE[tool] === true) return false;
  if (ending?.kind === 'error') return ending.mayHaveRun !== true;
  return (
    ending !== undefined && ['result', 'given-up', 'refused', 'cancelled'].includes(ending.kind)
  );
}
