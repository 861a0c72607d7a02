/**
 * `sojourn dev <module>`: serves a module while its author edits it. This process holds the socket, watches the files
 * that the module loads, and starts a new worker after each edit.
 */
import { dirname } from 'node:path';
import { reason } from './failure.ts';
import { tokenForWorkers } from './dashboard.ts';
import { DevServer } from './dev-server.ts';
import { cliLogger } from './log.ts';
import { warnOfSettings } from './listen-problem.ts';
import { writePid } from './pid-file.ts';
import { findModule } from './server-module.ts';
import type { ServeSettings } from './settings.ts';
import { untilStopped } from './shutdown.ts';
import { REPORT_FILES, SourceFiles } from './source-files.ts';
import { onHangup, openSocket, type SuperviseContext } from './supervise.ts';
import { WorkerProcess } from './worker-process.ts';

export interface DevContext extends SuperviseContext {
  readonly cwd: string;
}

/** Resolves with the exit code when every worker has ended. */
export async function develop(module: string, settings: ServeSettings, context: DevContext): Promise<number> {
  findModule(module, context.cwd);
  const { drainTimeoutMs } = settings;
  const logger = cliLogger({ level: settings.logLevel, format: settings.logFormat ?? 'text' });
  warnOfSettings(settings, context.fd, logger);
  const socket = await openSocket(settings, context.fd);
  const { program, args, env } = context.command;
  const command = {
    program,
    args,
    env: { ...env, ...REPORT_FILES, ...tokenForWorkers(settings.dashboard) },
    fd: socket.fd,
  };
  // The program is `cli/main.js` of the build.
  const files = new SourceFiles(context.cwd, dirname(dirname(program)));
  let builds = 0;
  const server = new DevServer({
    drainTimeoutMs,
    logger,
    out: context.out,
    launch(start) {
      const [build, startedAt] = [++builds, Date.now()];
      const worker = new WorkerProcess(1, command, start, (message) => files.report(message, build, startedAt));
      void worker.listening.then((banner) => banner !== undefined && files.forgetBefore(build));
      return worker;
    },
  });
  const watching = new AbortController();
  const stopped = untilStopped(context.signals, () => performance.now(), {
    async finish() {
      watching.abort();
      socket.release();
      await server.stop();
    },
    interrupted: () => server.kill(),
    failed: (error) => logger.error({ err: error }, `the shutdown failed: ${reason(error)}`),
  });
  onHangup(context.signals, () => void server.load());
  const removePid = writePid(settings.pidFile);
  try {
    void server.load().then(() => logger.info({}, `watching ${files.count} files`));
    void (async () => {
      for (let what; (what = await files.changed(watching.signal)) !== undefined; void server.load())
        logger.info({}, `${what} changed`);
    })();
    return await Promise.race([stopped, server.refused]);
  } finally {
    watching.abort();
    removePid();
  }
}
