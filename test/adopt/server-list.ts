/**
 * The published servers of `npm run adopt -- --only servers`, in pinned versions. A server is served from a module that
 * its author would write (`test/adopt/servers/`), or from one of its files after the changes of its author.
 */
import type { Call } from './adopting-client.ts';

export interface Change {
  /** Relative to `node_modules/` of the app. */
  readonly file: string;
  /** Texts that occur once, and what replaces them. `end`: what follows the last line. */
  readonly edits: ReadonlyArray<readonly [from: string, to: string]>;
  readonly end?: string;
}

export interface PublishedServer {
  readonly name: string;
  /** `name@version`; the first is the server. */
  readonly packages: readonly string[];
  /** A file of `test/adopt/servers/`, or of the app's `node_modules/` where `changes` are made. */
  readonly module: string;
  readonly changes?: readonly Change[];
  /** Published lines that the author deletes: a file of `node_modules/`, whole. */
  readonly deletes?: readonly string[];
  readonly gives: 'factory' | 'object';
  /** The SDK whose copy the server uses; `own` where the package has no SDK or a bundled one. */
  readonly sdk: '@modelcontextprotocol/sdk' | '@modelcontextprotocol/server';
  /** The copy is part of the published file, in this version. */
  readonly bundledSdk?: string;
  /** A call, and what its answer holds. Without it: the same as on stdio. */
  readonly call: Call & { readonly expect?: RegExp };
  /** The published server on stdio, its own transport: a file of `node_modules/` and its arguments. */
  readonly own?: readonly [file: string, ...args: string[]];
  /** A call whose answer needs what the client says, and what that answer holds. `{root}`: the client's folder. */
  readonly question?: Call & { readonly expect: RegExp; readonly asks: string };
  /** A resource to which each client subscribes, and a call of another client after which it gets the update. */
  readonly watch?: { readonly uri: string; readonly call: Call };
  /** What the published version says where it does not start on its own transport either. */
  readonly doesNotStart?: RegExp;
  /** What follows `--`. `{root}`: a folder. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What the author should know besides. */
  readonly note?: string;
}

const MCP_SDK = '@modelcontextprotocol/sdk';
const MCP_SERVER = '@modelcontextprotocol/server';

/** The last lines of most of the official servers. */
const stdioOf = (says: string): string =>
  `    const transport = new StdioServerTransport();\n    await server.connect(transport);\n    console.error("${says}");\n`;

const FILESYSTEM = {
  packages: ['@modelcontextprotocol/server-filesystem@2026.8.31'],
  module: '@modelcontextprotocol/server-filesystem/dist/index.js',
  changes: [
    {
      file: '@modelcontextprotocol/server-filesystem/dist/index.js',
      edits: [[stdioOf('Secure MCP Filesystem Server running on stdio'), '']],
      end: 'export default server;',
    },
  ],
  gives: 'object',
  sdk: MCP_SDK,
} satisfies Partial<PublishedServer>;

export const SERVERS: readonly PublishedServer[] = [
  {
    name: 'server-everything',
    packages: ['@modelcontextprotocol/server-everything@2026.8.31'],
    module: 'server-everything.mjs',
    deletes: ['@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js'],
    gives: 'factory',
    sdk: MCP_SDK,
    call: { name: 'echo', args: { message: 'adopted' }, expect: /adopted/ },
    question: { name: 'trigger-elicitation-request', expect: /elicited|accept/i, asks: 'elicitation/create' },
  },
  {
    name: 'server-memory',
    packages: ['@modelcontextprotocol/server-memory@2026.8.31'],
    module: '@modelcontextprotocol/server-memory/dist/index.js',
    changes: [
      {
        file: '@modelcontextprotocol/server-memory/dist/index.js',
        edits: [
          [stdioOf('Knowledge Graph MCP Server running on stdio'), ''],
          ['\nmain().catch(', '\nawait main().catch('],
        ],
        end: 'export default server;',
      },
    ],
    gives: 'object',
    sdk: MCP_SDK,
    env: { MEMORY_FILE_PATH: '{root}/memory.jsonl' },
    call: { name: 'read_graph', expect: /entities/ },
    watch: {
      uri: 'memory://knowledge-graph',
      call: { name: 'create_entities', args: { entities: [{ name: '{time}', entityType: 'a', observations: [] }] } },
    },
  },
  {
    ...FILESYSTEM,
    name: 'server-filesystem',
    args: ['{root}'],
    call: { name: 'list_directory', args: { path: '{root}' }, expect: /present\.txt/ },
    note: 'its folders are a module variable: the roots of one client are those of all',
  },
  {
    ...FILESYSTEM,
    name: 'server-filesystem, roots alone',
    call: { name: 'list_directory', args: { path: '{root}' }, expect: /present\.txt/ },
    question: { name: 'list_allowed_directories', expect: /{root}/, asks: 'roots/list' },
    note: 'started without folders: it may read what the roots of its client name',
  },
  {
    name: 'server-sequential-thinking',
    packages: ['@modelcontextprotocol/server-sequential-thinking@2026.8.31'],
    module: '@modelcontextprotocol/server-sequential-thinking/dist/index.js',
    changes: [
      {
        file: '@modelcontextprotocol/server-sequential-thinking/dist/index.js',
        edits: [
          [
            'async function runServer() {\n    const transport = new StdioServerTransport();\n    await server.connect(transport);\n    console.error("Sequential Thinking MCP Server running on stdio");\n}\nrunServer().catch((error) => {\n    console.error("Fatal error running server:", error);\n    process.exit(1);\n});',
            'export default server;',
          ],
        ],
      },
    ],
    gives: 'object',
    sdk: MCP_SDK,
    call: {
      name: 'sequentialthinking',
      args: { thought: 'a', nextThoughtNeeded: true, thoughtNumber: 1, totalThoughts: 2 },
      expect: /thoughtNumber/,
    },
    note: 'the history of thoughts is a module variable: shared by all clients, empty after a restart',
  },
  {
    name: 'server-github',
    packages: ['@modelcontextprotocol/server-github@2025.4.8'],
    module: '@modelcontextprotocol/server-github/dist/index.js',
    changes: [
      {
        file: '@modelcontextprotocol/server-github/dist/index.js',
        edits: [
          ['const server = new Server({\n', 'export default () => {\nconst server = new Server({\n'],
          [
            'async function runServer() {\n    const transport = new StdioServerTransport();\n    await server.connect(transport);\n    console.error("GitHub MCP Server running on stdio");\n}\nrunServer().catch((error) => {\n    console.error("Fatal error in main():", error);\n    process.exit(1);\n});',
            'return server;\n};',
          ],
        ],
      },
    ],
    gives: 'factory',
    sdk: MCP_SDK,
    own: ['@modelcontextprotocol/server-github/dist/index.js'],
    call: { name: 'search_repositories', args: { query: 'mcp' } },
  },
  {
    name: 'server-map',
    packages: ['@modelcontextprotocol/server-map@2.0.3'],
    module: 'server-map.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    bundledSdk: '2.0.0',
    call: { name: 'show-map', args: {}, expect: /map|globe|Displaying/i },
  },
  {
    name: 'server-budget-allocator',
    packages: ['@modelcontextprotocol/server-budget-allocator@2.0.3'],
    module: 'server-budget-allocator.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    bundledSdk: '2.0.0',
    call: { name: 'get-budget-data', args: {}, expect: /budget/i },
  },
  {
    name: 'server-pdf',
    packages: ['@modelcontextprotocol/server-pdf@2.0.4'],
    module: 'server-pdf.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    bundledSdk: '2.0.0',
    own: ['@modelcontextprotocol/server-pdf/dist/index.js', '--stdio'],
    call: { name: 'list_pdfs', args: {} },
  },
  {
    name: 'context7',
    packages: ['@upstash/context7-mcp@4.1.1'],
    module: '@upstash/context7-mcp/dist/index.js',
    changes: [
      {
        file: '@upstash/context7-mcp/dist/index.js',
        edits: [
          [
            'main().catch((error) => {\n    console.error("Fatal error in main():", error);\n    process.exit(1);\n});',
            'export default createMcpServer;',
          ],
        ],
      },
    ],
    gives: 'factory',
    sdk: MCP_SERVER,
    own: ['@upstash/context7-mcp/dist/index.js'],
    call: {
      name: 'resolve-library-id',
      args: { query: 'how', libraryName: 'react' },
    },
  },
  {
    name: 'skybridge',
    packages: ['skybridge@1.0.3'],
    module: 'skybridge.mjs',
    gives: 'object',
    sdk: MCP_SDK,
    call: { name: 'add', args: { a: 2, b: 3 }, expect: /"5".*seen by the middleware/ },
    note: 'its middleware (`mcpMiddleware`) wraps each call; 2.0.0 depends on a package that is not published',
  },
  {
    name: 'fastmcp',
    packages: ['fastmcp@4.20.16', 'zod@4.6.7'],
    module: 'fastmcp.mjs',
    gives: 'factory',
    sdk: MCP_SDK,
    call: { name: 'add', args: { a: 2, b: 3 }, expect: /"5"/ },
    question: { name: 'roots', expect: /{root}/, asks: 'roots/list' },
  },
  {
    name: 'litemcp',
    packages: ['litemcp@0.9.0', 'zod@3.25.76'],
    module: 'litemcp.mjs',
    gives: 'factory',
    sdk: MCP_SDK,
    call: { name: 'add', args: { a: 2, b: 3 }, expect: /"5"/ },
  },
  {
    name: 'Apify',
    packages: ['@apify/actors-mcp-server@0.16.0'],
    module: 'apify.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    env: { APIFY_TOKEN: 'none' },
    call: {
      name: 'fetch-apify-docs',
      args: { url: 'nothing' },
      expect: /Only documentation URLs from Apify and Crawlee/,
    },
    note: 'its sessions are served by its SDK 1.30.0, 2026-07-28 requests by its SDK 2.0.0',
  },
  {
    name: 'Angular CLI',
    packages: ['@angular/cli@22.2.7'],
    module: 'angular-cli.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    call: { name: 'ai_tutor', args: {}, expect: /tutor/i },
  },
  {
    name: 'Sentry',
    packages: ['@sentry/mcp-server@0.39.0'],
    module: '@sentry/mcp-server/dist/index.js',
    changes: [
      {
        file: '@sentry/mcp-server/dist/index.js',
        edits: [
          [
            '\tstartStdio(server, context$1).catch(async (err) => {\n\t\tconsole.error("Server error:", err);\n\t\tSentry.captureException(err);\n\t\tawait Sentry.flush(SENTRY_TIMEOUT);\n\t\tprocess.exit(1);\n\t});\n',
            '\treturn server;\n',
          ],
          ['\nmain().catch(', '\nexport default await main().catch('],
        ],
      },
    ],
    gives: 'object',
    sdk: MCP_SDK,
    args: ['--access-token=none'],
    own: ['@sentry/mcp-server/dist/index.js', '--access-token=none'],
    call: { name: 'find_organizations' },
  },
  {
    name: 'mcp-handler',
    packages: ['mcp-handler@2.4.0', 'zod@4.6.7'],
    module: 'mcp-handler.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    call: { name: 'roll_dice', args: { sides: 1 }, expect: /rolled a 1/ },
    note: 'the function given to its `createMcpHandler` gets a server of a factory',
  },
  {
    name: 'mcp-framework',
    packages: ['mcp-framework@0.2.22', 'zod@3.25.76'],
    module: 'mcp-framework.mjs',
    gives: 'factory',
    sdk: MCP_SDK,
    call: { name: 'add', args: { a: 2, b: 3 }, expect: /5/ },
  },
  {
    name: 'Supabase',
    packages: ['@supabase/mcp-server-supabase@0.13.0'],
    module: 'supabase.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    own: [
      '@supabase/mcp-server-supabase/dist/cli.js',
      '--access-token=none',
      '--api-url=http://127.0.0.1:9',
      '--features=account,database',
    ],
    call: { name: 'list_organizations', args: {} },
  },
  {
    name: 'Figma (figma-developer-mcp)',
    packages: ['figma-developer-mcp@0.13.2'],
    module: 'figma.mjs',
    gives: 'factory',
    sdk: MCP_SDK,
    own: ['figma-developer-mcp/dist/bin.js', '--stdio', '--figma-api-key=none'],
    call: { name: 'get_figma_data', args: { fileKey: 'abc' } },
  },
  {
    name: 'Shopify',
    packages: ['@shopify/dev-mcp@1.16.0'],
    module: '@shopify/dev-mcp/dist/index.js',
    changes: [
      {
        file: '@shopify/dev-mcp/dist/index.js',
        edits: [
          ['  const e = new xd();\n  await t.connect(e), console.error(`', '  console.error(`'],
          ['  r && console.error(r);\n}', '  r && console.error(r);\n  return t;\n}'],
          [
            '\nMd().catch((t) => {\n  console.error("Fatal error in main():", t), process.exit(1);\n});',
            '\nexport default Md;',
          ],
        ],
      },
    ],
    gives: 'factory',
    sdk: MCP_SDK,
    bundledSdk: '1.29.0',
    env: { OPT_OUT_INSTRUMENTATION: 'true' },
    own: ['@shopify/dev-mcp/dist/index.js'],
    call: { name: 'learn_shopify_api', args: { api: 'admin' } },
  },
  {
    name: 'Postman',
    packages: ['@postman/postman-mcp-server@2.13.0'],
    module: '@postman/postman-mcp-server/dist/src/index.js',
    changes: [
      {
        file: '@postman/postman-mcp-server/dist/src/index.js',
        edits: [
          ['    await server.connect(transport);\n', '    return server;\n'],
          [
            "\nrun().catch((error) => {\n    log('error', 'Unhandled error during server execution', {\n        error: String(error?.message || error),\n    });\n    process.exit(1);\n});",
            '\nexport default await run();',
          ],
        ],
      },
    ],
    gives: 'object',
    sdk: MCP_SDK,
    env: { POSTMAN_API_KEY: 'PMAK-none' },
    own: ['@postman/postman-mcp-server/dist/src/index.js'],
    call: { name: 'getAuthenticatedUser', args: {} },
  },
  {
    name: 'Brave Search',
    packages: ['@brave/brave-search-mcp-server@2.1.4'],
    module: 'brave.mjs',
    gives: 'factory',
    sdk: MCP_SDK,
    env: { BRAVE_API_KEY: 'none' },
    own: ['@brave/brave-search-mcp-server/dist/index.js'],
    call: { name: 'brave_web_search', args: { query: 'a' } },
  },
  {
    name: 'Kubernetes (mcp-server-kubernetes)',
    packages: ['mcp-server-kubernetes@4.1.7'],
    module: 'mcp-server-kubernetes/dist/index.js',
    changes: [
      {
        file: 'mcp-server-kubernetes/dist/index.js',
        edits: [
          ['    const transport = new StdioServerTransport();\n', ''],
          ['    server.connect(transport);\n', ''],
        ],
        end: 'export default server;',
      },
    ],
    gives: 'object',
    sdk: MCP_SDK,
    own: ['mcp-server-kubernetes/dist/index.js'],
    call: { name: 'ping', args: {} },
    note: 'its own listener of SIGTERM ends the process while sojourn drains',
  },
  {
    name: 'ESLint',
    packages: ['@eslint/mcp@0.3.13'],
    module: '@eslint/mcp/src/mcp-server.js',
    changes: [{ file: '@eslint/mcp/src/mcp-server.js', edits: [], end: 'export default mcpServer;' }],
    deletes: ['@eslint/mcp/src/mcp-cli.js'],
    gives: 'object',
    sdk: MCP_SDK,
    own: ['@eslint/mcp/src/mcp-cli.js'],
    call: { name: 'lint-files', args: { filePaths: ['{root}/present.txt'] } },
  },
  {
    name: 'Heroku',
    packages: ['@heroku/mcp-server@1.2.8'],
    module: '@heroku/mcp-server/dist/index.js',
    changes: [{ file: '@heroku/mcp-server/dist/index.js', edits: [], end: 'export default server;' }],
    gives: 'object',
    sdk: MCP_SDK,
    env: { HEROKU_API_KEY: 'none' },
    own: ['@heroku/mcp-server/bin/heroku-mcp-server.mjs'],
    doesNotStart: /Cannot find module '.*@modelcontextprotocol\/sdk\/dist\/esm\/server/,
    note: 'it imports `@modelcontextprotocol/sdk/server/mcp`, which no version of the SDK has without `.js`',
    call: { name: 'list_apps', args: {} },
  },
  {
    name: 'Desktop Commander',
    packages: ['@wonderwhy-er/desktop-commander@0.2.52'],
    module: 'desktop-commander.mjs',
    gives: 'object',
    sdk: MCP_SDK,
    call: { name: 'list_directory', args: { path: '{root}' }, expect: /present\.txt/ },
  },
  {
    name: 'Playwright',
    packages: ['@playwright/mcp@0.0.83'],
    module: 'playwright.mjs',
    gives: 'factory',
    sdk: MCP_SDK,
    bundledSdk: '1',
    own: ['@playwright/mcp/cli.js', '--headless'],
    call: { name: 'browser_tabs', args: { action: 'list' } },
  },
  {
    name: 'Tavily',
    packages: ['tavily-mcp@0.2.22'],
    module: 'tavily-mcp/build/index.js',
    changes: [
      {
        file: 'tavily-mcp/build/index.js',
        edits: [
          [
            'const server = new TavilyClient();\nserver.run().catch(console.error);',
            'export default () => new TavilyClient().server;',
          ],
        ],
      },
    ],
    gives: 'factory',
    sdk: MCP_SDK,
    env: { TAVILY_API_KEY: 'none' },
    own: ['tavily-mcp/build/index.js'],
    call: { name: 'tavily_search', args: { query: 'a' } },
  },
  {
    name: 'Chrome DevTools',
    packages: ['chrome-devtools-mcp@1.11.0'],
    module: 'chrome-devtools-mcp/build/src/bin/chrome-devtools-mcp-main.js',
    changes: [
      {
        file: 'chrome-devtools-mcp/build/src/bin/chrome-devtools-mcp-main.js',
        edits: [
          [
            'const transport = new StdioServerTransport();\nawait server.connect(transport);\n',
            'export default server.server;\n',
          ],
        ],
      },
    ],
    gives: 'object',
    sdk: MCP_SERVER,
    bundledSdk: '2.3.1',
    args: ['--no-usage-statistics'],
    own: ['chrome-devtools-mcp/build/src/bin/chrome-devtools-mcp.js', '--no-usage-statistics'],
    call: { name: 'list_pages', args: {} },
  },
  {
    name: 'MongoDB',
    packages: ['mongodb-mcp-server@3.0.4'],
    module: 'mongodb.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    own: ['mongodb-mcp-server/dist/esm/index.js'],
    call: { name: 'list-databases', args: {} },
  },
  {
    name: 'Exa',
    packages: ['exa-mcp-server@3.4.1'],
    module: 'exa-mcp-server/dist/stdio.cjs',
    changes: [
      {
        file: 'exa-mcp-server/dist/stdio.cjs',
        edits: [
          ['\n  await server.connect(new StdioServerTransport());\n}', '\n  return server;\n}'],
          [
            'main().catch((error2) => {\n  console.error(\n    `Server initialization error: ${error2 instanceof Error ? error2.message : String(error2)}`\n  );\n  process.exit(1);\n});',
            'module.exports = () => main();',
          ],
        ],
      },
    ],
    gives: 'factory',
    sdk: MCP_SDK,
    own: ['exa-mcp-server/dist/stdio.cjs'],
    call: { name: 'web_search_exa', args: { query: 'a' } },
  },
  {
    name: 'mcp-nest',
    packages: [
      '@rekog/mcp-nest@2.0.5',
      '@modelcontextprotocol/server@2.4.0',
      '@modelcontextprotocol/node@2.1.2',
      '@nestjs/common@11',
      '@nestjs/core@11',
      '@nestjs/microservices@11',
      '@nestjs/platform-express@11',
      'reflect-metadata@0.2.2',
      'rxjs@7',
      'zod@4.6.7',
    ],
    module: 'mcp-nest.mjs',
    gives: 'factory',
    sdk: MCP_SERVER,
    call: { name: 'add', args: { a: 2, b: 3 }, expect: /5/ },
  },
  {
    name: 'Notion',
    packages: ['@notionhq/notion-mcp-server@2.5.2'],
    module: '@notionhq/notion-mcp-server/bin/cli.mjs',
    changes: [
      {
        file: '@notionhq/notion-mcp-server/bin/cli.mjs',
        edits: [
          ['return await s.connect(new ud),s.getServer()', 'return s.getServer()'],
          [
            'fle(process.argv).catch(e=>{e instanceof Ml?(console.error("Invalid OpenAPI 3.1 specification:"),e.errors.forEach(t=>console.error(t))):console.error("Error:",e),process.exit(1)});export{fle as startServer};',
            'export default await fle(process.argv);',
          ],
        ],
      },
    ],
    gives: 'object',
    sdk: MCP_SDK,
    bundledSdk: '1',
    env: { NOTION_TOKEN: 'none' },
    own: ['@notionhq/notion-mcp-server/bin/cli.mjs'],
    call: { name: 'API-get-self', args: {} },
  },
];
