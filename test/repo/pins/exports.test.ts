import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };

const names = (text: string): string[] => text.trim().split(/\s+/);

/**
 * Every public name, by entry. A name that appears or goes is an API change: it is written here by hand, on purpose,
 * and told in CHANGELOG.md.
 */
const PINNED: Record<string, { values: string[]; types: string[] }> = {
  '.': {
    values: [
      'RUNS_ONCE',
      'SojournError',
      'createMcpEndpoint',
      'currentRequest',
      'currentSession',
      'currentTask',
      'enablePolling',
      'listHandles',
      'live',
      'memory',
      'nothingDone',
      'once',
      'openHandle',
      'task',
      'taskTools',
      'userState',
    ],
    types: names(`
      AddOn AuthOptions Authorize AuthorizeKind CloseOptions ConfigureSessionOptions ConnectableServer Dashboard DashboardOptions
      DrainOptions EmitInOptions EmitOptions EndReason EndpointNotices EndpointHandles EndpointHealth EndpointTasks ErrorCode ErrorContext
      EventData EventRetention EventTypeOptions EventsOptions
      FetchOptions ForgottenUser GivenLogger Handle HandleInfo HandleOptions HandlePage Limits LimitsOptions
      JwtOptions LeaveReason ListenOptions Listening LiveObject LiveOptions LogMessage Logger LostCalls McpEndpoint McpEndpointContext
      McpEndpointFactory McpEndpointOptions McpHttpRequest McpListen McpRequestRun McpServerOptions McpSession
      McpSessionContext Middleware NextRun Notice Notifier Observe OnError OnceOptions PageRequest PagedList Refusal RefusedNotice RequestAnswer RequestChange ResponseMode RestoreCause
      RunSessionHandler RunningRequest RunningTask SessionIdGenerator SessionInfo SessionInfoPage SessionMigrationHandler SessionMode
      PgTransaction SentEvent Sessions SharedList SqliteTransaction State Store TaskAuthInfo TaskInfo TaskInfoPage TaskOptions TaskToRun TasksOptions
      TimeProvider ToolLimits TrustedProxyUser UserHandle UserLimits UserStateOptions VerifyToken
    `),
  },
  './otel': { values: ['telemetry', 'watchEndpoint'], types: ['Telemetry', 'TelemetryOptions'] },
  './sealed': { values: ['sealedSessions'], types: ['SealedSessions', 'SealedSessionsOptions'] },
  './sqlite': {
    values: ['sqlite'],
    types: ['SqliteOptions'],
  },
  './stdio': { values: ['stdioServer'], types: ['StdioOptions', 'StdioServer'] },
  './store': {
    values: names(
      `countedIn entryBytes entryOfTexts entryTexts isEnded isRowWrite openView rowOf storeUnavailable textsOf`,
    ),
    types: names(`
      Backend DuePlace EndedRecord EntryHead EntryTexts EventRetention HeadMore InstanceMessage InstanceStore KeptByAll
      Kind LogEntry LogWrite Logger Mailboxes Mark MaybePromise OpenStore OpenStream RandomSource Receive Records Row RowTexts
      RowWrite Store StoreOptions StoredRecord TimeProvider ViewParts Write Written
    `),
  },
  './testing': {
    values: ['createFakeTime', 'openLab', 'until'],
    types: names(`
      FakeTime Lab LabCaller LabInstance LabOptions LabResult LabServer LabTask UntilOptions
    `),
  },
};

const root = resolve(import.meta.dirname, '../../..');
/** What this project's own stores are made of. It changes with each version. */
const KIT = './internal';

const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
  typeof target === 'string' || name === KIT ? [] : [{ name, ...target }],
);

const LIST = /^export (type )?\{([^}]*)\}(?: from ['"][^'"]+['"])?;$/gm;
const DECLARATION =
  /^export (?:declare )?(?:abstract )?(?:async )?(const|function|class|interface|type) (\w+)/gm;

/** The names that a declaration file exports, and the text that is neither a list nor a declaration but exports. */
function exportedNames(file: string): { names: string[]; unknown: string[] } {
  const text = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const listed = [...text.matchAll(LIST)].flatMap(([, , list = '']) =>
    list
      .split(',')
      .map((item) =>
        item
          .trim()
          .replace(/^type /, '')
          .replace(/^.* as /, ''),
      )
      .filter(Boolean),
  );
  const declared = [...text.matchAll(DECLARATION)].map(([, , name = '']) => name);
  const rest = text.replaceAll(LIST, '').replaceAll(DECLARATION, '');
  return {
    names: [...new Set([...listed, ...declared])].sort(),
    unknown: rest.match(/^export .*$/gm) ?? [],
  };
}

describe('the public surface', () => {
  test('has exactly the pinned entries', () => {
    expect(Object.keys(manifest.exports).filter((name) => name !== KIT)).toEqual([
      ...Object.keys(PINNED),
      './package.json',
    ]);
  });

  test('has a promise for each entry on the page of support, and experimental functions say so', () => {
    const page = readFileSync(join(root, 'docs/reference/support.md'), 'utf8');
    const rows = [...page.matchAll(/^\| (`[^|]*`)[^|]*\| ([^|]*[^| ]) *\|$/gm)];
    const told = rows.flatMap(([, cell = '', promise = '']) =>
      [...cell.matchAll(/`([\w./-]+)`/g)].map(([, name = '']) => [name, promise] as const),
    );
    const entry = (name: string) => name.replace(/^\./, 'sojourn');
    const promised = new Map(told.toReversed());
    expect([...Object.keys(PINNED), KIT].filter((name) => !promised.has(entry(name)))).toEqual([]);
    const declared = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.d.ts'))
      .map((file) => readFileSync(join(root, 'dist', file), 'utf8'))
      .join('\n');
    const values = Object.values(PINNED)
      .flatMap((pinned) => pinned.values)
      .filter((value) => promised.get(value)?.startsWith('experimental'));
    const isMarked = (name: string): boolean =>
      new RegExp(`@experimental\\n \\*/\\nexport declare (?:function|const) ${name}\\b`).test(
        declared,
      );
    expect(values).toEqual(expect.arrayContaining(['task', 'userState', 'stdioServer']));
    expect(values.filter((name) => !isMarked(name))).toEqual([]);
  });

  test('names the same types where TypeScript reads no exports (moduleResolution: node)', () => {
    const { '.': own, './package.json': _, ...others } = manifest.exports;
    expect([manifest.main, manifest.types]).toEqual([own.default, own.types]);
    const types = Object.entries(others).map(([name, target]) => [name.slice(2), [target.types]]);
    expect(manifest.typesVersions).toEqual({ '*': Object.fromEntries(types) });
  });

  describe.each(entries)('$name', ({ name, types, default: code }) => {
    const pinned = PINNED[name] ?? { values: [], types: [] };

    test('exports exactly the pinned values', async () => {
      const module = (await import(pathToFileURL(join(root, code)).href)) as object;
      expect(Object.keys(module).sort()).toEqual(pinned.values.toSorted());
    });

    test('exports exactly the pinned types besides', () => {
      const { names, unknown } = exportedNames(join(root, types));
      expect(unknown).toEqual([]);
      expect(names.filter((type) => !pinned.values.includes(type))).toEqual(
        pinned.types.toSorted(),
      );
    });
  });
});
