/** The programs of `programs/` by their SDK and its pinned version. */
export const TITLES = {
  'python-1': 'Python 1.30',
  'python-2': 'Python 2.3',
  'go-sdk': 'go-sdk 1.8',
  'mcp-go': 'mcp-go 1.2',
  'typescript-1': 'TypeScript 1.32',
  'typescript-2': 'TypeScript 2.4',
  rmcp: 'rmcp 3.9',
  java: 'Java 2.1',
} as const;

export type ProgramName = keyof typeof TITLES;
