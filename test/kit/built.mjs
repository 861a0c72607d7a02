/** Builds once per run, so that tests which start the CLI or read the declarations find a dist/ made from this src/. */
import { build } from '../../scripts/build.mjs';

export default function setup() {
  if (!build({ ifStale: true, quiet: true }))
    console.warn('src/ has type errors (npm run build shows them): dist/ may be old');
}
