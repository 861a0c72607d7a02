/** What happens to the whole deployment, and what the user of a client does in that time. */
import type { OtherClient, Seen } from './other-client.ts';
import { afterwards, connect, type User } from './other-cases.ts';
import { pause, type OtherDeployment } from './other-deployment.ts';

const EVERY_MS = 200;
/** Calls after the deployment has recovered. */
const MORE = 5;

/** A fault that begins when every user is ready for it. */
export class Fault {
  #waiting: number;
  #allReady = (): void => {};
  #begin = (): void => {};
  #recover = (): void => {};
  readonly #ready = new Promise<void>((resolve) => (this.#allReady = resolve));
  readonly begun = new Promise<void>((resolve) => (this.#begin = resolve));
  readonly recovered = new Promise<void>((resolve) => (this.#recover = resolve));

  constructor(users: number) {
    this.#waiting = users;
    if (users === 0) this.#allReady();
  }

  /** Each user says so once. */
  ready(): void {
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#allReady();
  }

  /** `happens` calls `begin` when the deployment is broken, and resolves when it has recovered. */
  async run(deployment: OtherDeployment, happens: Happens): Promise<void> {
    try {
      await this.#ready;
      await happens(deployment, this.#begin);
    } finally {
      this.#begin();
      this.#recover();
    }
  }
}

export type Happens = (deployment: OtherDeployment, begin: () => void) => Promise<void>;

export const storeUnavailable =
  (ms: number): Happens =>
  async (deployment, begin) => {
    begin();
    await deployment.storeAwayFor(ms);
  };

export const frozen =
  (ms: number): Happens =>
  async (deployment, begin) => {
    begin();
    await pause(100);
    await deployment.freezeFor(ms);
  };

export const killed =
  (ms: number): Happens =>
  async (deployment, begin) => {
    await deployment.killFor(ms, begin);
  };

export const forgotten: Happens = async (deployment, begin) => {
  begin();
  await deployment.forget();
};

export type Use = (user: User, client: OtherClient, fault: Fault) => Promise<Seen[]>;

async function callUntil(client: OtherClient, recovered: Promise<void>): Promise<Seen[]> {
  let ends = Infinity;
  const calls: Promise<Seen>[] = [];
  void recovered.then(() => (ends = calls.length + MORE));
  while (calls.length < ends) {
    calls.push(calls.length % 2 === 0 ? client.call('read', {}, 'read') : client.call('count'));
    await pause(EVERY_MS);
  }
  return Promise.all(calls);
}

/** Calls every 200 ms; a longer one is running when the fault begins. */
export const calling: Use = async ({ era }, client, fault) => {
  fault.ready();
  const calls = callUntil(client, fault.recovered);
  await fault.begun;
  const running = client.call('read', { ms: 500 }, 'read');
  return [...(await calls), await running, ...(await afterwards(client, era))];
};

/** Calls that begin while the instance is away. */
export const callingLater: Use = async ({ era }, client, fault) => {
  fault.ready();
  await fault.begun;
  return [...(await callUntil(client, fault.recovered)), ...(await afterwards(client, era))];
};

/** A call without effects is running when the fault begins. */
export const inCall: Use = async ({ era }, client, fault) => {
  const call = client.call('read', { ms: 3_000 }, 'read');
  await pause(500);
  fault.ready();
  return [await call, ...(await afterwards(client, era))];
};

/** The user answers a question while the fault lasts. */
export const answering: Use = async ({ era }, client, fault) => {
  const call = client.call('ask', {}, 'blue');
  const asked = await Promise.race([client.asked(), call.then(() => false)]);
  fault.ready();
  await fault.begun;
  await pause(500);
  if (asked) client.answer();
  return [await call, ...(await afterwards(client, era))];
};

/** The user learns that the call is lost, and can connect again. */
export const lostInCall: Use = async (user, client, fault) => {
  const call = client.call('read', { ms: 3_000 });
  await pause(500);
  fault.ready();
  await fault.recovered;
  const seen = await call;
  const next = await connect(user);
  return [seen.startsWith('failed') ? 'ok' : seen, await next.call('read', {}, 'read')];
};
