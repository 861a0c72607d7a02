/** Official clients of both eras, as an application uses them. Each counts. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
} from '@modelcontextprotocol/client';
import { Client as SessionClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as SessionTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const BEAT_MS = 250;
/** A call works for 100 ms. */
const LONG_MS = 500;
const CONNECT_TRIES = 10;

const MODERN = { versionNegotiation: { mode: { pin: '2026-07-28' } } };

/** 2025: a session. 2026: none. */
async function connect(era, name, url) {
  const [client, transport] =
    era === '2025'
      ? [new SessionClient({ name, version: '1.0.0' }), new SessionTransport(new URL(url))]
      : [new ModernClient({ name, version: '1.0.0' }, MODERN), new ModernTransport(new URL(url))];
  await client.connect(transport);
  return client;
}

/** On a machine where so many processes start at once, an instance may count as gone and a new session be lost. */
async function connectSoon(era, name, url, says) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await connect(era, name, url);
    } catch (error) {
      if (tries === CONNECT_TRIES) throw error;
      says(`${name} connects again: ${error.message}`);
      await delay(BEAT_MS);
    }
  }
}

export class CountingClient {
  name;
  /** The number of its last answered call. */
  number = 0;
  waited = 0;
  longestMs = 0;
  lost = 0;
  /** It got 404. */
  hasEnded = false;
  #client;
  #says;
  #stopped = false;

  constructor(name, client, says) {
    this.name = name;
    this.#client = client;
    this.#says = says;
  }

  /** `says(text)`: a call waited, or was lost. */
  static async open(name, era, url, says) {
    const client = new CountingClient(name, await connectSoon(era, name, url, says), says);
    // The first call takes longer than the others: it loads code.
    await client.#call();
    client.waited = client.longestMs = 0;
    return client;
  }

  /** As the log of an instance names its session. */
  get hash() {
    const id = this.#client.transport?.sessionId;
    return id === undefined
      ? undefined
      : createHash('sha256').update(id).digest('hex').slice(0, 12);
  }

  /** Counts until `stop`. */
  async run() {
    while (!this.#stopped && !this.hasEnded) {
      await delay(BEAT_MS * (0.5 + Math.random()));
      if (!this.#stopped) await this.#call();
    }
  }

  async stop() {
    this.#stopped = true;
    await this.#client.close().catch(() => {});
  }

  async #call() {
    const began = performance.now();
    const number = this.number + 1;
    try {
      const { content, isError } = await this.#client.callTool({
        name: 'count',
        arguments: { number },
      });
      if (isError || content[0].text !== `${number}`) throw new Error(content[0].text);
      this.number = number;
    } catch (error) {
      if (this.#stopped) return;
      this.lost += 1;
      this.hasEnded = [error.code, error.status, error.data?.status].includes(404);
      return this.#says(
        this.hasEnded
          ? `the session of ${this.name} ended with 404 after call ${this.number}`
          : `call ${number} of ${this.name} failed: ${error.message}`,
      );
    }
    const ms = performance.now() - began;
    if (ms < LONG_MS) return;
    this.waited += 1;
    this.longestMs = Math.max(this.longestMs, ms);
    this.#says(`call ${number} of ${this.name} was answered after ${(ms / 1_000).toFixed(1)} s`);
  }
}
