/**
 * One server object for all sessions: what a listener sends later goes to the session that it was added for.
 *
 *     sojourn serve one-server.ts
 */
import { EventEmitter } from 'node:events';
import { McpServer } from '@modelcontextprotocol/server';
import { currentSession } from 'sojourn';

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });
const jobs = new EventEmitter();

const server = new McpServer({ name: 'jobs', version: '1.0.0' }, { capabilities: { logging: {} } });

server.registerTool('follow', {}, () => {
  const session = currentSession();
  if (session === undefined) return say('there is no session to tell');
  const own = session.server as McpServer; // not `server`: the call of another session may emit the event
  const tell = () => void own.sendLoggingMessage({ level: 'info', data: 'the job is done' });
  jobs.once('done', tell);
  session.signal.addEventListener('abort', () => jobs.off('done', tell), { once: true });
  return say('followed');
});

server.registerTool('finish', {}, () => {
  jobs.emit('done');
  return say('finished');
});

process.on('exit', () => console.error('cleaned up')); // runs when the drain is over

export default server;
