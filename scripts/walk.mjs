// Counts how often one request enters a source file: a measure of how far its code is spread. Every function of `src`
// is compiled with a call at its beginning. Runs an OAuth callback and then a cold listing through the plugin, against
// the fakes of Google Drive and of an authorization server, and prints for each how often a file is entered and how
// many files take part. A file is entered when one of its functions begins while the innermost frame of `src` below
// belongs to another file, or there is none: once with every function, callbacks and getters included, and once with
// declared functions and methods alone. `node scripts/walk.mjs verbose` also prints the entries of each file.
import { readArguments } from './arguments.mjs'

const HELP =
  'Usage: node scripts/walk.mjs [verbose]\nCounts how often a listing and an OAuth callback enter a source file.'
const [verbose] = readArguments(HELP, 1)
if (verbose !== undefined && verbose !== 'verbose') throw new Error(`Unexpected argument: ${verbose}`)

const { default: ts } = await import('typescript')
const { COMPILED, createCompiler, ROOT } = await import('./tests/compile.mjs')
process.env.COMPILED_TESTS = COMPILED

/** Inserts a call at the beginning of each function. The text of `src` is otherwise unchanged. */
function instrument(path, text) {
  if (!path.startsWith(`${ROOT}src/`)) return text
  const file = JSON.stringify(path.slice(ROOT.length))
  const insertions = []
  const visit = (node) => {
    const { body } = node
    if (ts.isFunctionLike(node) && body !== undefined) {
      const call = `globalThis.onFunction?.(${file}, ${ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)})`
      if (ts.isBlock(body)) insertions.push([body.getStart() + 1, `${call};`])
      else insertions.push([body.getStart(), `(${call}, (`], [body.getEnd(), '))'])
    }
    node.forEachChild(visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  // Of two at the same place, an outer function's call is inserted first.
  const ordered = insertions.map((each, index) => [...each, index]).sort((a, b) => b[0] - a[0] || b[2] - a[2])
  return ordered.reduce((result, [at, call]) => result.slice(0, at) + call + result.slice(at), text)
}

const compiler = await createCompiler(instrument)
await compiler.rebuild()
await compiler.dispose()
const load = (path) => import(`${COMPILED}/${path}`)

const SOURCES = `${COMPILED}/src/`
/** Takes the place of the host's database. */
const TEST_DATABASE = `${SOURCES}db/pglite.js`
Error.stackTraceLimit = Infinity

/** Returns the source files of the synchronous and asynchronous frames, the innermost first. */
function framesOf() {
  const { prepareStackTrace } = Error
  Error.prepareStackTrace = (_error, sites) => sites.map((site) => site.getFileName() ?? '')
  const files = new Error().stack
  Error.prepareStackTrace = prepareStackTrace
  return files
    .map((file) => file.replace('file://', ''))
    .filter((file) => file.startsWith(SOURCES) && file !== TEST_DATABASE)
    .map((file) => `src/${file.slice(SOURCES.length).replace(/\.js$/, '.ts')}`)
}

async function walk(title, request) {
  const all = new Map()
  const declared = new Map()
  const count = (entries, file) => entries.set(file, (entries.get(file) ?? 0) + 1)
  globalThis.onFunction = (file, isDeclared) => {
    // The innermost frame is the function that begins.
    if (file === 'src/db/pglite.ts' || framesOf()[1] === file) return
    count(all, file)
    if (isDeclared) count(declared, file)
  }
  const { status } = await request()
  globalThis.onFunction = undefined
  const total = (entries) => [...entries.values()].reduce((sum, each) => sum + each, 0)
  console.log(`${title}, status ${status}`)
  console.log(`  every function:        ${total(all)} entries, ${all.size} files`)
  console.log(`  functions and methods: ${total(declared)} entries, ${declared.size} files`)
  if (verbose === undefined) return
  for (const [file, entries] of [...all].sort(([, a], [, b]) => b - a))
    console.log(`${String(entries).padStart(6)} ${file}`)
}

const { FakeDrive } = await load('test/fakes/drive/fake-drive.js')
const { FakeOAuth } = await load('test/fakes/oauth/fake-oauth.js')
const { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } = await load('test/fakes/oauth/rules.js')
const { cloudRedirectUri, startCloudApp } = await load('test/support/app/cloud-app.js')
const { googleDrive } = await load('src/providers/google-drive/index.js')

const ends = []
const test = { teardown: (end) => ends.unshift(end) }
const oauth = await FakeOAuth.start(test, {
  redirectUris: [cloudRedirectUri('google_drive')],
  scopes: ['https://www.googleapis.com/auth/drive.readonly'],
  needsOfflineAccess: true
})
const drive = await FakeDrive.start(test, { authorize: (bearer) => oauth.check(bearer) })
drive.tree.addFile({ name: 'notes.txt', content: 'Do not forget.' })
const app = await startCloudApp(test, {
  provider: googleDrive({ api: drive.url, server: oauth.server }),
  registration: { clientId: FAKE_CLIENT_ID, clientSecret: FAKE_CLIENT_SECRET },
  origins: [drive.url, oauth.url],
  consent: (url) => oauth.consent(url)
})
const { authorizationUrl, cookie } = await app.authorize()
const callback = await oauth.consent(authorizationUrl)
await walk('OAuth callback', () => app.sendCallback(callback, cookie))
await walk('cold Drive listing', () => app.list())
for (const end of ends) await end()
process.exit()
