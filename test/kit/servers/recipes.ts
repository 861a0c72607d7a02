/** How Redis and PostgreSQL run for the tests, without the machine's own configuration. */
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
// @ts-expect-error -- a script, without types
import { findProgram } from '../../../scripts/servers.mjs';
import { fillPostgresFolder } from './postgres-folder.ts';
import type { ServerKind, ServerRecipe } from './test-server.ts';

/** PATH is searched before Debian's folders, so another version is tested by its folder in PATH. */
export const find = findProgram as (name: string) => string | undefined;

/** PostgreSQL refuses to run as root. */
export function postgresUser(): ServerRecipe['user'] {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** What the server sends first, or answers to `question`. */
function greeted(port: number, question: string | Uint8Array, answer: RegExp): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    const end = (value: boolean): void => {
      socket.destroy();
      done(value);
    };
    socket.setTimeout(500, () => end(false));
    socket.once('error', () => end(false));
    socket.once('close', () => done(false));
    socket.once('connect', () => socket.write(question));
    socket.once('data', (chunk) => end(answer.test(chunk.toString('latin1'))));
  });
}

const redis: ServerRecipe = {
  kind: 'redis',
  package: 'redis-server',
  find: () => find('redis-server') ?? find('valkey-server'),
  command: ({ folder, port, args }) => [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--daemonize',
    'no',
    '--save',
    '',
    ...args,
  ],
  stopSignal: 'SIGTERM',
  answers: (port) => greeted(port, 'PING\r\n', /^\+PONG/),
  url: (port) => `redis://127.0.0.1:${port}`,
};

/**
 * A server that speaks the protocol answers an SSL request with one letter. During its start the socket does not exist.
 */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

const postgres: ServerRecipe = {
  kind: 'postgres',
  package: 'postgresql',
  find: () => find('postgres'),
  get user() {
    return postgresUser();
  },
  prepare: (folder, executable) =>
    fillPostgresFolder(folder, join(executable, '..', 'initdb'), postgresUser()),
  command: ({ folder, port, args }) => [
    '-D',
    folder,
    '-p',
    String(port),
    '-c',
    'listen_addresses=127.0.0.1',
    '-c',
    'unix_socket_directories=',
    ...args,
  ],
  // A fast stop: connections are closed, transactions rolled back.
  stopSignal: 'SIGINT',
  answers: async (port) =>
    (await greeted(port, SSL_REQUEST, /^[SN]/)) && (await acceptsLogins(port)),
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
};

/** During recovery logins are refused with an error, which the answer to a startup message shows. */
export function acceptsLogins(port: number): Promise<boolean> {
  const body = Buffer.from('user\0postgres\0database\0postgres\0\0');
  const startup = Buffer.alloc(8 + body.length);
  startup.writeInt32BE(startup.length, 0);
  startup.writeInt32BE(196_608, 4);
  body.copy(startup, 8);
  return greeted(port, startup, /^R/);
}

export const recipes: Readonly<Record<ServerKind, ServerRecipe>> = { redis, postgres };
