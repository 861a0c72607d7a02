import { build } from 'esbuild';
import { gzipSync, brotliCompressSync } from 'node:zlib';
const STUB = [/ajvProvider/, /cfWorkerProvider/, /validation\/ajv-provider/, /client\/auth\.js$/, /cross-spawn/, /^jose$/, /pkce/];
const mode = process.argv[2];
for (const f of ['a','b','c']) {
  const r = await build({ entryPoints: [`tmp-m/${f}.mjs`], bundle: true, minify: true, format: 'esm', platform: 'node', target: 'node20', write: false, metafile: true, legalComments:'none',
    external: mode === 'ext' ? ['zod','zod/*','@modelcontextprotocol/core','@modelcontextprotocol/core/*'] : [],
    plugins: [{ name: 's', setup(b) {
      b.onLoad({ filter: /sdk\/dist\/esm\/client\/auth\.js$/ }, () => ({ contents: 'export const auth=()=>{throw Error()};export const extractWWWAuthenticateParams=()=>({});export class UnauthorizedError extends Error{}' }));
      b.onLoad({ filter: /ajv-provider\.js$/ }, () => ({ contents: 'export class AjvJsonSchemaValidator{getValidator(){return (x)=>({valid:true,data:x})}}' }));
      b.onLoad({ filter: /ajvProvider.*\.mjs$/ }, () => ({ contents: 'export class n{};export{n as t, n as AjvJsonSchemaValidator,n as a,n as i,n as r,n as o,n as s,n as c}' }));
    } }] });
  const t = r.outputFiles[0].text;
  console.log(f, t.length, gzipSync(t,{level:9}).length, brotliCompressSync(t).length);
  if (f==='c') { const o=Object.values(r.metafile.outputs)[0]; const by={}; for (const [k,{bytesInOutput:n}] of Object.entries(o.inputs)) by[k]=n; console.log(Object.entries(by).sort((a,b)=>b[1]-a[1]).slice(0,26)); }
}
