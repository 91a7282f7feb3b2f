import t from 'tap'
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { promisify } from 'node:util'
import { isOAuthProvider, isProviderDefinition } from '../../src/core/provider.ts'
import { MANAGED_STORES, PROVIDERS } from '../../src/providers/registry.ts'
import type { Harness } from '../contract/harness.ts'
import { compiledUrl } from '../support/source/compiled.ts'

const root = new URL('../../', import.meta.url)

t.test('every provider and every managed store has a harness for the contract suite', async (t) => {
  for (const name of new Set([...Object.keys(PROVIDERS), ...Object.keys(MANAGED_STORES)])) {
    const path = compiledUrl(`test/contract/harness/${name.replaceAll('_', '-')}.ts`)
    await access(path)
    const { harness } = (await import(path.href)) as { harness: Harness }
    t.equal(harness.name, name)
    t.type(harness.open, 'function')
    t.equal(
      harness.tokenHarness !== undefined,
      PROVIDERS[name]?.oauth === true,
      'only OAuth providers open with tokens'
    )
  }
})

t.test('every provider is a definition under its own id', async (t) => {
  for (const [id, { load, oauth = false, tenants = false }] of Object.entries(PROVIDERS)) {
    const { provider } = await load()
    t.ok(isProviderDefinition(provider))
    t.equal(provider.id, id)
    t.equal(isOAuthProvider(provider), oauth, 'the need for a registration is known before the import')
    const tenant = isOAuthProvider(provider) ? provider.connect.tenant : undefined
    t.equal(tenant !== undefined, tenants, 'the support of a tenant is known before the import')
  }
  for (const load of Object.values(MANAGED_STORES)) t.type((await load()).openManaged, 'function')
})

t.test('every provider rejects folder ids that it cannot have issued', async (t) => {
  const good: Record<string, string[]> = {
    s3: ['docs/', 'a/b c/ü/'],
    webdav: ['docs/', 'a/b c/ü/'],
    nextcloud: ['docs/', 'a/b c/ü/'],
    google_drive: ['root', '1aB-c_D', '1aB/0-key'],
    onedrive: ['root', 'b!x-Y/01ABC', 'site:contoso.sharepoint.com,a-b,c-d'],
    dropbox: ['id:a4ayc_80_OEAAAAAAAAAXw'],
    box: ['folder:0', 'folder:123456']
  }
  const bad = ['', '.', '../', 'a/../b/', 'a\0/', '\udc00/', 'x'.repeat(8192), 'a/'.repeat(4096), 'file:1']
  for (const [id, { load }] of Object.entries(PROVIDERS)) {
    const { provider } = await load()
    for (const folderId of good[id] ?? ['missing']) {
      t.doesNotThrow(() => provider.checkFolderId?.(folderId), `${id}: ${folderId}`)
    }
    for (const folderId of bad) {
      const check = () => {
        provider.checkFolderId?.(folderId)
      }
      t.throws(
        check,
        { code: /^(INVALID_REQUEST|FOLDER_NOT_FOUND)$/ },
        `${id}: ${JSON.stringify(folderId.slice(0, 20))}`
      )
    }
  }
})

/** Runs a script in a process that cannot resolve the packages of `missing`. Returns its output. */
async function runWithout(missing: string, script: string): Promise<unknown> {
  const hook = `export async function resolve(specifier, context, next) {
    if (!new RegExp(${JSON.stringify(missing)}).test(specifier)) return next(specifier, context)
    throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  }`
  const code = `
    import { register } from 'node:module'
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}))
    const { PROVIDERS, MANAGED_STORES } = await import(${JSON.stringify(compiledUrl('src/providers/registry.ts').href)})
    const timeouts = { connectMs: 1000, headersMs: 1000, idleMs: 1000, totalMs: 1000 }
    const options = { type: 's3', endpoint: 'http://127.0.0.1:1', bucket: 'bucket', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } }
    const signal = new AbortController().signal
    const show = (error) => ({ code: error.code, message: error.message, cause: error.cause?.message })
    console.log(JSON.stringify(await (async () => { ${script} })()))
  `
  const args = ['--no-warnings', '--input-type=module', '--eval', code]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 60_000 })
  return JSON.parse(stdout)
}

t.test('opening Google Drive without its SDK names the package to install', async (t) => {
  const script = `
    const { provider } = await PROVIDERS.google_drive.load()
    const egress = { agents: {}, request() {}, assertAllowed() {} }
    return provider.open({ egress, timeouts, accessTokens: {} }).then(() => 'opened', show)
  `
  t.match(await runWithout('^googleapis', script), {
    code: 'SDK_MISSING',
    message: /^[^@]*$/,
    cause: /npm install googleapis/
  })
})

t.test('importing providers loads no SDK, and opening one without its SDK names the package to install', async (t) => {
  const script = `
    for (const load of [...Object.values(PROVIDERS).map(({ load }) => load), ...Object.values(MANAGED_STORES)]) await load()
    const { openManaged } = await MANAGED_STORES.s3()
    return openManaged(options, { timeouts }).then(() => 'opened', show)
  `
  t.match(await runWithout('^@aws-sdk/', script), {
    code: 'SDK_MISSING',
    message: /^[^@]*$/,
    cause: /npm install @aws-sdk\/client-s3/
  })
})

t.test('the packages for uploads and for links are required only when they are used', async (t) => {
  const script = `
    const { openManaged } = await MANAGED_STORES.s3()
    const backend = await openManaged(options, { timeouts })
    const { Readable } = await import('node:stream')
    return [
      await backend.upload({ id: 'a' }, Readable.from(['x']), { signal }).catch(show),
      await backend.downloadUrl('a', { signal, expiresInMs: 1000 }).catch(show)
    ]
  `
  t.match(await runWithout('^@aws-sdk/(lib-storage|s3-request-presigner)$', script), [
    { code: 'SDK_MISSING', cause: /npm install @aws-sdk\/lib-storage/ },
    { code: 'SDK_MISSING', cause: /npm install @aws-sdk\/s3-request-presigner/ }
  ])
})

t.test('a process exits although idle sockets are pooled', async (t) => {
  const script = `
    const { createServer } = await import('node:http')
    const server = createServer((request, response) => response.writeHead(200, { etag: '"e"', 'content-length': 1 }).end())
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    server.unref()
    const endpoint = 'http://127.0.0.1:' + server.address().port
    const { openManaged } = await MANAGED_STORES.s3()
    const backend = await openManaged({ ...options, endpoint }, { timeouts })
    await backend.stat('a', { signal })
    const { managedAgents } = await import(${JSON.stringify(compiledUrl('src/providers/s3/session.ts').href)})
    const kept = () => Object.values(managedAgents().agents.http.freeSockets).flat().length
    while (kept() === 0) await new Promise(setImmediate)
    const sockets = await new Promise((resolve) => server.getConnections((error, count) => resolve(count)))
    return { sockets, kept: kept() }
  `
  t.same(await runWithout('^nothing$', script), { sockets: 1, kept: 1 })
})
