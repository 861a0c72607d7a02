/**
 * A token of another service, kept for each user: of many calls that need it after its end one refreshes it. The others
 * wait for that, on every instance. Values are plain text in the store: use an encrypted one that no one else reads.
 */
import { setTimeout } from 'node:timers/promises';
import { userState } from 'sojourn';

export interface Grant {
  access: string;
  refresh: string;
  /** In ms since 1970. */
  expires: number;
  refreshing?: { by: string; until: number };
}

export const saveGrant = (service: string, grant: Grant): Promise<void> =>
  userState({ keepMs: 400 * 86_400_000 }).set(service, grant);

export async function accessToken(
  service: string,
  refresh: (token: string) => Promise<Grant>,
): Promise<string> {
  const [state, me] = [userState({ keepMs: 400 * 86_400_000 }), crypto.randomUUID()];
  for (;;) {
    const now = Date.now();
    const grant = await state.update(service, (g?: Grant) =>
      g && g.expires < now && !(g.refreshing && g.refreshing.until > now)
        ? { ...g, refreshing: { by: me, until: now + 30_000 } }
        : g,
    );
    if (grant === undefined) throw new Error(`Not connected: connect ${service} first`);
    if (grant.expires >= now) return grant.access;
    if (grant.refreshing?.by === me) await state.set(service, await refresh(grant.refresh));
    else await setTimeout(200);
  }
}
