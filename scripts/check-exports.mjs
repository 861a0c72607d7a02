/**
 * Checks the exports map against the build. Every file that package.json names exists, and every entry loads. The
 * modules that an entry loads, followed import by import, belong to this package, Node and the SDK: `import 'sojourn'`
 * must not load the CLI's dependencies. A store's entry may load its client when the store is opened, and
 * the option `auth.jwt` loads jose. A lab of `sojourn/testing` has endpoints. `sojourn/otel` loads the API of OpenTelemetry.
 */
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './steps.mjs';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const LOADABLE = new Set(['@modelcontextprotocol/server']);
const ENDPOINT = ['jose', '@modelcontextprotocol/sdk/server/index.js'];
const LOADED_LATER = {
  '.': ENDPOINT,
  './testing': ENDPOINT,
  './sqlite': ['libsql', 'libsql/promise'],
  './redis': ['redis'],
  './postgres': ['pg'],
};
const LOADED = { './otel': '@opentelemetry/api' };
const problems = [];

const filesOf = (target) => (typeof target === 'string' ? [target] : Object.values(target).flatMap(filesOf));

const IMPORT =
  /^(?:import|export)\b[^'"]*?from ?['"]([^'"]+)['"]|^import ?['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm;

/** Every file below dist/ that `entry` reaches, dynamic imports included. */
function follow(entry, later, loaded, seen = new Set()) {
  if (seen.has(entry) || !existsSync(entry)) return seen;
  seen.add(entry);
  for (const [, from, bare, dynamic] of readFileSync(entry, 'utf8').matchAll(IMPORT)) {
    const specifier = from ?? bare ?? dynamic;
    if (specifier.startsWith('.')) {
      const target = resolve(dirname(entry), specifier);
      if (!existsSync(target)) problems.push(`${relative(root, entry)} imports ${specifier}, which is not built`);
      follow(target, later, loaded, seen);
    } else if (dynamic !== undefined && later?.includes(dynamic)) {
      continue;
    } else if (
      specifier !== loaded &&
      !LOADABLE.has(specifier) &&
      !builtinModules.includes(specifier.replace(/^node:/, ''))
    ) {
      problems.push(`${relative(root, entry)} loads the package ${specifier}`);
    }
  }
  return seen;
}

for (const [name, target] of Object.entries(manifest.exports)) {
  for (const file of filesOf(target)) {
    if (!existsSync(join(root, file))) problems.push(`exports['${name}'] names ${file}, which is not built`);
  }
  if (typeof target === 'string') continue;
  const entry = join(root, target.default);
  follow(entry, LOADED_LATER[name], LOADED[name]);
  if (existsSync(entry)) {
    await import(pathToFileURL(entry).href).catch((error) =>
      problems.push(`exports['${name}'] fails: ${error.message}`),
    );
  }
}

for (const [name, file] of Object.entries(manifest.bin)) {
  const path = join(root, file);
  if (!existsSync(path)) problems.push(`bin ${name} names ${file}, which is not built`);
  else if (!readFileSync(path, 'utf8').startsWith('#!/usr/bin/env node')) problems.push(`${file} has no #! line`);
}

for (const problem of new Set(problems)) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
