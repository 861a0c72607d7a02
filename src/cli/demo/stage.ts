/**
 * Everything that runs, and what can be done to it: both sides, the store between the instances of the one, and the
 * keeper. An action on an instance is done to both sides.
 */
import type { Notice } from '../../index.ts';
import type { StoreReport } from './counter.ts';
import { Guard } from './guard.ts';
import { Happenings, type LogEntry } from './happenings.ts';
import type { DemoInstance, InstanceState } from './instance-process.ts';
import { BEAT_MS, type ScriptedClient, type Waited } from './scripted-client.ts';
import { duration } from './sentences.ts';
import type { ProcessEnd } from '../../dashboard/server/options.ts';
import type { DemoState } from '../../dashboard/wire-pages.ts';
import type { EndedOrder } from '../worker-messages.ts';
import type { Buttons } from './buttons.ts';
import { CAN_FREEZE, type Name, NAMES } from './instance-names.ts';
import { sdkArgs, Side, sojournArgs, storeFile } from './side.ts';

export const AWAY_MS = 5_000;
/** A report about the store that is older is no answer. */
const REPORT_OLD_MS = 2_000;

export interface Totals {
  readonly answered: number;
  readonly lost: number;
  readonly sessionsLost: number;
}

export class Stage {
  readonly happenings: Happenings;
  /** What the user did, for the end. */
  readonly deeds: string[] = [];
  /** Waits of the calls on sojourn, in ms. */
  readonly waits: { readonly ms: number; readonly after: string }[] = [];
  /** How many calls waited on the other side. */
  theirWaits = 0;
  /** Errors of calls on sojourn, as client code saw them. */
  readonly errors: string[] = [];
  readonly #guard: Guard;
  readonly #reports = new Map<string, StoreReport & { readonly at: number }>();
  /** The id of each instance in its lease, by its name. */
  readonly #leases = new Map<string, string>();
  /** The processes of sojourn, before their clients are connected. */
  #instances: readonly DemoInstance[] = [];
  #ours: Side | undefined;
  #theirs: Side | undefined;
  #isClosing = false;
  #awaySince: number | undefined;
  #beats: NodeJS.Timeout | undefined;

  constructor(written: (entry: LogEntry) => void) {
    this.happenings = new Happenings(written);
    this.#guard = new Guard((isLocked) => this.#locked(isLocked));
  }

  /** Resolves when every client is connected. `token`: of the dashboard. */
  async open(buttons: Buttons, token: string): Promise<void> {
    const host = {
      started: (pid: number) => this.#guard.started(pid),
      longMs: (from: number) => this.happenings.longMs(from),
      answered: (ms: number) => this.happenings.answered(ms),
      said: () => {},
      ended: (_: DemoInstance, pid: number) => this.#guard.ended(pid),
    };
    const ours = {
      ...host,
      said: (instance: DemoInstance, message: unknown) => this.#said(instance, message),
      ended: (instance: DemoInstance, pid: number, before: InstanceState) => this.#ended(instance, pid, before),
      waited: (_: ScriptedClient, waited: Waited) => {
        this.happenings.waited(waited);
        this.waits.push({ ms: waited.ms, after: this.deeds.at(-1) ?? 'no action' });
      },
      lost: (client: ScriptedClient, error: unknown) => this.#lost(client, error),
    };
    const theirs = {
      ...host,
      waited: () => void (this.theirWaits += 1),
      lost: (client: ScriptedClient) => this.#lostThere(client),
    };
    const args = sojournArgs(this.#guard.folder);
    const plan = { args, env: { SOJOURN_DASHBOARD_TOKEN: token }, policy: 'turns', buttons } as const;
    [this.#ours, this.#theirs] = await Promise.all([
      Side.open(plan, ours, (instances) => (this.#instances = instances)),
      Side.open({ args: sdkArgs(), policy: 'affinity' }, theirs, () => {}),
    ]);
    for (const client of this.ours.clients) this.happenings.knows(client);
    this.happenings.say('one, two and three serve');
    this.happenings.say(`${this.ours.clients.length} clients count`);
    this.#beats = setInterval(() => this.#beat(), BEAT_MS);
    this.ours.run();
    this.theirs.run();
  }

  /** The clients count. */
  get isOpen(): boolean {
    return this.#beats !== undefined;
  }

  get ours(): Side {
    return this.#ours as Side;
  }

  get theirs(): Side {
    return this.#theirs as Side;
  }

  /** ms since the store does not answer; `undefined`: it does. */
  get awayMs(): number | undefined {
    return this.#awaySince === undefined ? undefined : performance.now() - this.#awaySince;
  }

  /** What an instance last said about its store. */
  report(name: string): StoreReport | undefined {
    const report = this.#reports.get(name);
    if (report === undefined || performance.now() - report.at > REPORT_OLD_MS) return undefined;
    const { renewedAgo, at } = report;
    return { ...report, renewedAgo: renewedAgo === undefined ? undefined : renewedAgo + performance.now() - at };
  }

  /** Each action returns why it cannot be done, if so. */
  kill(name: Name): string | undefined {
    const { pid } = this.ours.instance(name);
    if (!this.ours.instance(name).kill()) return this.#cannot(name);
    this.theirs.instance(name).kill();
    this.#done(`kill ${name}`);
    this.happenings.interrupted('killed', name);
    this.happenings.say(`${name} was killed (pid ${pid ?? '–'})`);
    return undefined;
  }

  /** Freezes it, or lets it run again. */
  freeze(name: Name): string | undefined {
    const instance = this.ours.instance(name);
    if (instance.state === 'frozen') {
      const ms = performance.now() - instance.since;
      instance.unfreeze();
      this.theirs.instance(name).unfreeze();
      this.#done(`unfreeze ${name}`);
      this.happenings.over('frozen', name);
      this.happenings.say(`${name} runs again after ${duration(ms)}`);
      return undefined;
    }
    if (!instance.freeze()) return this.#cannot(name);
    this.theirs.instance(name).freeze();
    this.#done(`freeze ${name}`);
    this.happenings.interrupted('frozen', name);
    this.happenings.say(`${name} is frozen (SIGSTOP, pid ${instance.pid ?? '–'})`);
    return undefined;
  }

  drain(name: Name): string | undefined {
    if (this.ours.instance(name).state === 'frozen') return `${name} is frozen and cannot drain. f lets it run again.`;
    if (!this.ours.instance(name).drain()) return this.#cannot(name);
    this.theirs.instance(name).drain();
    this.#done(`drain ${name}`);
    this.happenings.interrupted('drained', name);
    this.happenings.say(`${name} drains (SIGTERM)`);
    return undefined;
  }

  /** For the page. */
  get state(): DemoState {
    const instances = this.#instances.map(({ name, state }) => ({ name, state }));
    return { instances, storeAway: this.#awaySince !== undefined, canFreeze: CAN_FREEZE };
  }

  /** Why it cannot be started, if so. */
  refusesStart(name: Name): string | undefined {
    const { state, isRunning } = this.ours.instance(name);
    return state === 'frozen' || !isRunning ? undefined : `${name} runs. Only an instance that ended can be started.`;
  }

  /** Starts it, a frozen one anew. Rejects when it does not start. */
  async restart(name: Name): Promise<void> {
    const both = [this.ours.instance(name), this.theirs.instance(name)];
    if (this.ours.instance(name).state === 'frozen') {
      for (const instance of both) instance.kill();
      this.happenings.say(`${name} was killed, to start again`);
    }
    this.#done(`restart ${name}`);
    await Promise.all(both.map((instance) => ended(instance).then(() => instance.start())));
    this.happenings.over('killed', name);
    this.happenings.over('drained', name);
    this.happenings.over('frozen', name);
  }

  takeStoreAway(): string | undefined {
    if (this.#awaySince !== undefined) return 'The store is away already.';
    this.#done('store away');
    this.#guard.lock(storeFile(this.#guard.folder), AWAY_MS);
    return undefined;
  }

  totals(side: Side): Totals {
    const { clients } = side;
    return {
      answered: clients.reduce((sum, { number }) => sum + number, 0),
      lost: clients.reduce((sum, { lost }) => sum + lost, 0),
      sessionsLost: clients.filter(({ ended: hasEnded }) => hasEnded).length,
    };
  }

  /** The names of the instances that could be killed. */
  get serving(): readonly Name[] {
    return NAMES.filter((name) => this.ours.instance(name).state === 'serving');
  }

  /** Resolves when no process and no file is left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#beats);
    await Promise.all([this.#ours?.close(), this.#theirs?.close()]);
    for (const instance of [...this.#instances, ...(this.#theirs?.instances ?? [])]) instance.close();
    await this.#guard.close();
  }

  #done(deed: string): void {
    this.deeds.push(deed);
  }

  #cannot(name: Name): string {
    const { state } = this.ours.instance(name);
    if (state === 'frozen') return `${name} is frozen. f lets it run again.`;
    if (state === 'starting' || state === 'draining') return `${name} is ${state}.`;
    return `${name} does not run. r starts it.`;
  }

  #said(instance: DemoInstance, message: unknown): void {
    const { notice, report } = message as { readonly notice?: Notice; readonly report?: StoreReport };
    if (report !== undefined) this.#reports.set(instance.name, { ...report, at: performance.now() });
    if (notice?.kind === 'joined') this.#leases.set(instance.name, notice.instance);
    if (notice !== undefined) this.happenings.noticed(instance, notice);
  }

  #ended(instance: DemoInstance, pid: number, before: InstanceState): void {
    this.#guard.ended(pid);
    this.#reports.delete(instance.name);
    const lease = this.#leases.get(instance.name);
    const end = before === 'killed' ? 'killed' : 'crashed';
    if (before !== 'draining') this.#tellEnd({ host: instance.name, pid, instance: lease, end });
    if (this.#isClosing || (before !== 'serving' && before !== 'frozen')) return;
    this.happenings.interrupted('ended', instance.name);
    this.happenings.say(`${instance.name} ended by itself (pid ${pid})`);
  }

  /** The dashboards of the others say it. */
  #tellEnd(end: ProcessEnd): void {
    const order: EndedOrder = { sojourn: 'ended', ...end };
    for (const instance of this.#instances) instance.tell(order);
  }

  #lost(client: ScriptedClient, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.errors.push(`${client.name}: ${why}`);
    this.happenings.lost();
    this.happenings.say(`call ${client.number + 1} of ${client.name} failed: ${why}`);
  }

  #lostThere({ name, number, ended: hasEnded }: ScriptedClient): void {
    const what = hasEnded ? `the session of ${name} ended with 404` : `a call of ${name} failed`;
    this.happenings.say(`on the SDK's own transport ${what} after call ${number}`);
  }

  #locked(isLocked: boolean): void {
    if (isLocked) {
      this.#awaySince = performance.now();
      this.happenings.interrupted('store');
      return this.happenings.say('the store does not answer: its file is locked');
    }
    const ms = this.awayMs ?? 0;
    this.#awaySince = undefined;
    this.happenings.over('store');
    this.happenings.say(`the store answers again after ${duration(ms)}`);
  }

  #beat(): void {
    for (const client of [...this.ours.clients, ...this.theirs.clients]) client.sign();
    if (this.ours.clients.every(({ waitsMs }) => waitsMs === undefined)) this.happenings.allAnswered();
  }
}

async function ended(instance: DemoInstance): Promise<void> {
  while (instance.isRunning) await new Promise((done) => setTimeout(done, 10));
}
