/** What happens to the whole deployment, and what the user of a client does in that time. */
import type { OtherClient, Seen } from './other-client.ts';
import { afterwards, connect, type User } from './other-cases.ts';
import { pause, type OtherDeployment } from './other-deployment.ts';

const EVERY_MS = 200;
/** Calls after the deployment has recovered. */
const MORE = 5;

/** A fault that begins when every user is connected, and then ready for it. */
export class Fault {
  readonly #users: number;
  readonly #connected = new Barrier();
  readonly #ready = new Barrier();
  readonly begun: Promise<void>;
  readonly recovered: Promise<void>;
  #begin = (): void => {};
  #recover = (): void => {};

  constructor(users: number) {
    this.#users = users;
    this.begun = new Promise((resolve) => (this.#begin = resolve));
    this.recovered = new Promise((resolve) => (this.#recover = resolve));
  }

  /**
   * Each user says so once, also a user who could not connect. Resolves when all have, and the deployment is complete.
   */
  connected(): Promise<void> {
    return this.#connected.arrive();
  }

  /** Each user says so once. */
  ready(): void {
    void this.#ready.arrive();
  }

  /** `happens` calls `begin` when the deployment is broken, and resolves when it has recovered. */
  async run(deployment: OtherDeployment, happens: Happens): Promise<void> {
    try {
      await this.#connected.all(this.#users);
      await deployment.complete();
      this.#connected.open();
      await this.#ready.all(this.#users);
      await happens(deployment, this.#begin);
    } finally {
      this.#connected.open();
      this.#begin();
      this.#recover();
    }
  }
}

export type Happens = (deployment: OtherDeployment, begin: () => void) => Promise<void>;

class Barrier {
  readonly #opened: Promise<void>;
  #open = (): void => {};
  #arrived = 0;
  #complete: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor() {
    this.#opened = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
  }

  arrive(): Promise<void> {
    this.#arrived += 1;
    if (this.#arrived === this.#complete?.count) this.#complete.resolve();
    return this.#opened;
  }

  all(count: number): Promise<void> {
    if (this.#arrived >= count) return Promise.resolve();
    return new Promise((resolve) => (this.#complete = { count, resolve }));
  }
}

export const storeAway =
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
