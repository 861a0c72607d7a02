/**
 * One process of a side.
 *
 *     starting ──▶ serving ◀──▶ frozen
 *        ▲          │   │         │
 *        │          ▼   ▼         ▼
 *        ╰── ended ◀─ draining, killed
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** A child must not take settings of the user's own server, or a debugger's port. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOJOURN_|NODE_OPTIONS$)/i.test(name)),
);

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export class Instance {
  name;
  state = 'ended';
  port;
  #args;
  #child;
  #says;
  #continues;

  /**
   * `args(port)`: those of node. `says(text)`: it came into a state by itself. `continues(hash)`: it took a session over.
   */
  constructor(name, args, says, continues) {
    this.name = name;
    this.#args = args;
    this.#says = says;
    this.#continues = continues;
  }

  /** Resolves when it serves. Rejects with its last words when it ends before. */
  async start() {
    if (this.state !== 'ended') return;
    this.state = 'starting';
    this.port = await freePort();
    const child = spawn(process.execPath, this.#args(this.port), {
      env: inherited,
      stdio: 'pipe',
      windowsHide: true,
    });
    this.#child = child;
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (words = (words + text).slice(-2_000)));
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.includes('"A session continues here"')) this.#continues(JSON.parse(line).sessionId);
    });
    // What it prints is read, so that it never waits for a reader.
    child.stdout.resume();
    child.once('exit', () => this.#ended());
    while (!(await this.isHealthy(1_000))) {
      if (child.exitCode !== null || child.signalCode !== null) {
        // Another process took the port before this one did.
        if (/EADDRINUSE|in use/.test(words)) return this.start();
        throw new Error(`${this.name} did not start:\n${words}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
    this.state = 'serving';
    this.#says(`${this.name} serves (pid ${child.pid})`);
  }

  async isHealthy(limitMs) {
    try {
      const url = `http://127.0.0.1:${this.port}/healthz`;
      return (await fetch(url, { signal: AbortSignal.timeout(limitMs) })).ok;
    } catch {
      return false;
    }
  }

  #ended() {
    const { state } = this;
    this.state = 'ended';
    if (state === 'draining') this.#says(`${this.name} has drained`);
    if (state === 'serving') this.#says(`${this.name} ended by itself`);
  }

  kill() {
    this.state = 'killed';
    this.#child.kill('SIGKILL');
    return `${this.name} was killed (pid ${this.#child.pid})`;
  }

  freeze() {
    this.state = 'frozen';
    this.#child.kill('SIGSTOP');
    return `${this.name} is frozen (SIGSTOP)`;
  }

  thaw() {
    this.state = 'serving';
    this.#child.kill('SIGCONT');
    return `${this.name} runs again`;
  }

  drain() {
    this.state = 'draining';
    this.#child.kill('SIGTERM');
    return `${this.name} drains (SIGTERM)`;
  }

  /** Resolves when the process is gone. */
  async close() {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    this.state = 'killed';
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}
