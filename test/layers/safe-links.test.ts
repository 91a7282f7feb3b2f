import t from 'tap'
import type { Entry } from '../../src/core/entry.ts'
import { parseProviderLink } from '../../src/core/provider-link.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import { parseAllowHosts } from '../../src/net/allow-hosts.ts'
import { EgressRules } from '../../src/net/egress-rules.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { withSafeLinks } from '../../src/layers/safe-links.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { Readable } from 'node:stream'

const HOSTILE = [
  'javascript:alert(1)',
  ' javascript:alert(1)',
  'java\nscript:alert(1)',
  '\tjava\r\nscript\t:alert(1)',
  '\u0000javascript:alert(1)',
  '\u00a0javascript:alert(1)',
  'JAVASCRIPT:alert(1)',
  'https:javascript:alert(1)',
  ' DaTa:text/html,<script>alert(1)</script>',
  'da\tta:text/html,x',
  '\nBLOB:https://app.example.org/4c0e',
  'b\nlob:https://app.example.org/4c0e',
  'filesystem:https://app.example.org/temporary/x',
  'view-source:https://example.org/',
  'JaVaScRiPt://example.org/%0aalert(1)',
  'data:text/html,<script>alert(1)</script>',
  'blob:https://app.example.org/4c0e',
  'vbscript:msgbox(1)',
  'file:///etc/passwd',
  'ftp://example.org/a',
  'https://user@example.org/',
  'https://user:password@example.org/',
  'https://',
  '//example.org/a',
  '/a',
  '',
  `https://example.org/${'x'.repeat(9000)}`
]
const call = { signal: new AbortController().signal }

/** A backend with entries and download links that lead to `url`. */
function leadingTo(url: string, allowHosts: readonly string[] = []): Required<StorageBackend> {
  const made: Entry = entry('a', { webUrl: url, thumbnailUrl: url })
  const backend = Object.assign(new ScriptedBackend(), {
    listFolder: async () => page([made]),
    stat: async () => made,
    upload: async () => made,
    createFolder: async () => made,
    downloadUrl: async () => ({ url, expiresAt: new Date(0) })
  })
  const rules = new EgressRules(parseAllowHosts(allowHosts))
  return interceptCalls(backend, withSafeLinks(runCall, rules)) as Required<StorageBackend>
}

/** Returns the links of all entries that a backend returns. */
async function linksOf(backend: Required<StorageBackend>): Promise<(string | null)[]> {
  const listed = (await backend.listFolder(null, { ...call, limit: 10 })).entries
  const others = await Promise.all([
    backend.stat('a', call),
    backend.upload({ id: 'a' }, Readable.from([]), call),
    backend.createFolder(null, 'a', call)
  ])
  return [...listed, ...others].flatMap(({ webUrl, thumbnailUrl }) => [webUrl, thumbnailUrl])
}

t.test('a link that is unsafe in a browser becomes null, and as a download link an error', async (t) => {
  for (const url of HOSTILE) {
    const backend = leadingTo(url)
    t.same(new Set(await linksOf(backend)), new Set([null]), url.slice(0, 60))
    await t.rejects(backend.downloadUrl('a', { ...call, expiresInMs: 1000 }), { code: 'PROVIDER_ERROR' })
    t.equal(parseProviderLink(url), null)
  }
  for (const value of [undefined, null, 5, {}, ['https://example.org/']]) t.equal(parseProviderLink(value), null)
})

t.test('https links are kept, and http links to allowed hosts too', async (t) => {
  for (const [url, allowHosts] of [
    ['https://drive.google.com/file/d/1/view?usp=drivesdk#a', []],
    ['http://nas.lan:8080/f/1', ['nas.lan:8080']],
    ['http://10.1.2.3/f/1', ['10.0.0.0/8']]
  ] as const) {
    const backend = leadingTo(url, allowHosts)
    t.same(new Set(await linksOf(backend)), new Set([url]))
    t.equal((await backend.downloadUrl('a', { ...call, expiresInMs: 1000 })).url, url)
  }
  for (const url of ['http://example.org/', 'http://10.1.2.3/f/1', 'http://169.254.169.254/latest']) {
    t.same(new Set(await linksOf(leadingTo(url, ['nas.lan:8080']))), new Set([null]), url)
  }
})
