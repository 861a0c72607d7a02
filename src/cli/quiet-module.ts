/** For commands that make instances of a module by themselves: it must not take the port of a deployment, or join it. */
import { Server } from 'node:net';
import { listensInCheck } from '../base/errors.ts';
import { setChecked } from '../base/this-process.ts';
import { Failure, LoadFailure, reason } from './failure.ts';
import type { Loading, ServerModule, ServerSource } from './server-module.ts';

export async function loadQuietly(source: ServerSource, loading: Loading): Promise<ServerModule> {
  const { listen } = Server.prototype;
  setChecked(true);
  Server.prototype.listen = () => {
    throw listensInCheck();
  };
  try {
    return await source.load(loading);
  } catch (error) {
    const { message } = listensInCheck();
    if (error instanceof LoadFailure && reason(error.cause) === message)
      throw new Failure(`${source.name}: ${message}`);
    throw error;
  } finally {
    Server.prototype.listen = listen;
    setChecked(false);
  }
}
