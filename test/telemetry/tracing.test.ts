import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import t, { type Test } from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { StorageError } from '../../src/errors.ts'
import { createTracing, NO_TRACING } from '../../src/telemetry/tracing.ts'
import { recordSpans } from '../support/backend/recorded-spans.ts'

type Load = NonNullable<Parameters<typeof createTracing>[0]>

/** Imports the API from a folder of its own, where `install` installs it. */
async function apiFrom(t: Test, install: (folder: string) => Promise<unknown>): Promise<Load> {
  const folder = await mkdtemp(join(tmpdir(), 'tracing-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await install(folder)
  await writeFile(join(folder, 'load.mjs'), "export * from '@opentelemetry/api'\n")
  return () => import(pathToFileURL(join(folder, 'load.mjs')).href) as ReturnType<Load>
}

/** Installs a package of that name, with this as its only file. */
async function installApi(folder: string, file: string, source: string): Promise<void> {
  const installed = join(folder, 'node_modules', '@opentelemetry', 'api')
  await mkdir(installed, { recursive: true })
  await writeFile(
    join(installed, 'package.json'),
    JSON.stringify({ name: '@opentelemetry/api', type: 'module', exports: './index.js' })
  )
  await writeFile(join(installed, file), source)
}

t.test('work runs in a span of the host’s tracer, with its name and attributes only', async (t) => {
  const spans = recordSpans(t)
  const tracing = await createTracing()
  const answer = await tracing.span('cloud_storage.stat', { 'cloud_storage.provider': 's3' }, async () => {
    t.equal(spans[0]?.endCount, 0, 'the span lasts as long as the work')
    return 'answer'
  })
  t.equal(answer, 'answer')
  t.equal(spans.length, 1)
  t.match(spans[0], {
    name: 'cloud_storage.stat',
    kind: SpanKind.CLIENT,
    endCount: 1,
    status: { code: SpanStatusCode.UNSET }
  })
  t.same(spans[0]?.attributes, { 'cloud_storage.provider': 's3' })
  t.same(spans[0]?.events, [])
})

t.test('the tracer has the name and the version of the package', async (t) => {
  const spans = recordSpans(t)
  await (await createTracing()).span('a', {}, async () => {})
  t.equal(spans[0]?.tracer, `${packageJson.name} ${packageJson.version}`)
})

t.test('a span is a child of the active span and the parent of spans inside of it', async (t) => {
  const spans = recordSpans(t)
  const tracing = await createTracing()
  await trace.getTracer('host').startActiveSpan('request', async (request) => {
    await Promise.resolve()
    await tracing.span('outer', {}, async () => {
      await Promise.resolve()
      await tracing.span('inner', {}, async () => {})
    })
    request.end()
  })
  const [request, outer, inner] = spans
  t.same(
    spans.map(({ name }) => name),
    ['request', 'outer', 'inner']
  )
  t.equal(outer?.parent, request)
  t.equal(inner?.parent, outer)
})

t.test('a failed span has the error code and no message', async (t) => {
  const spans = recordSpans(t)
  const tracing = await createTracing()
  const failure = new StorageError('FOLDER_NOT_FOUND', 'SECRET', { cause: new Error('SECRET') })
  await t.rejects(
    tracing.span('a', {}, () => Promise.reject(failure)),
    failure
  )
  const thrown = new Error('SECRET')
  await t.rejects(
    tracing.span('b', {}, () => Promise.reject(thrown)),
    thrown
  )
  t.same(
    spans.map(({ attributes, status, events, endCount }) => ({ attributes, status, events, endCount })),
    ['FOLDER_NOT_FOUND', '_OTHER'].map((code) => ({
      attributes: { 'error.type': code },
      status: { code: SpanStatusCode.ERROR },
      events: [],
      endCount: 1
    }))
  )
})

t.test('a tracer provider that is registered later is used from then on', async (t) => {
  const tracing = await createTracing()
  t.equal(await tracing.span('before', {}, async () => 'done'), 'done')
  const spans = recordSpans(t)
  await tracing.span('after', {}, async () => {})
  t.same(
    spans.map(({ name }) => name),
    ['after']
  )
})

t.test('without the package there are no spans and all work runs', async (t) => {
  const absent = await apiFrom(t, async () => {})
  await t.rejects(absent(), { message: /Cannot find package/ })
  const tracing = await createTracing(absent)
  t.equal(tracing, NO_TRACING)
  t.equal(await tracing.span('a', {}, async () => 'answer'), 'answer')
  const yarn = 'app tried to access @opentelemetry/api (a peer dependency) but it isn’t provided by its ancestors'
  t.equal(await createTracing(() => Promise.reject(new Error(yarn))), NO_TRACING)
  const failure = new StorageError('LOCKED', '')
  await t.rejects(
    tracing.span('a', {}, () => Promise.reject(failure)),
    failure
  )
})

t.test('a package that is installed but cannot be loaded is an error', async (t) => {
  const throwing = await apiFrom(t, (folder) => installApi(folder, 'index.js', "throw new Error('broken')\n"))
  await t.rejects(createTracing(throwing), { message: 'broken' })
  const incomplete = await apiFrom(t, (folder) => installApi(folder, 'other.js', ''))
  await t.rejects(createTracing(incomplete), { message: /Cannot find module '.*index.js'/ })
  const lacking = await apiFrom(t, (folder) => installApi(folder, 'index.js', "import 'no-such-package'\n"))
  await t.rejects(createTracing(lacking), { message: /Cannot find package 'no-such-package'/ })
})
