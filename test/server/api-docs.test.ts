import { readFileSync } from 'node:fs'
import openapiTS, { astToString } from 'openapi-typescript'
import t from 'tap'
import { describePlugin } from '../../scripts/write-openapi.ts'
import { STORAGE_ERROR_CODES, StorageError } from '../../src/errors.ts'
import { PROVIDERS } from '../../src/providers/registry.ts'
import { buildApp } from '../../server/app.ts'
import type { ApiDescription } from '../support/openapi/api-description.ts'
import { describeServer } from '../support/openapi/describe-server.ts'
import { pluginDescription, serverDescription } from '../support/openapi/response-checks.ts'
import { emptyDatabase } from '../support/database/database.ts'
import { appConfig, serverApp } from '../support/app/server-app.ts'

const ROOT = new URL('../../', import.meta.url)
const written = readFileSync(new URL('openapi.json', ROOT), 'utf8')
const description = await serverDescription()
const DESCRIPTIONS = new Map([
  ['of the plugin', pluginDescription()],
  ['of the server', description]
])

t.test('openapi.json is up to date; `npm run openapi` regenerates it', async (t) => {
  const now = await describePlugin()
  t.ok(now === written, 'openapi.json is up to date')
  t.equal(await describePlugin(), now, 'the output is deterministic')
  t.equal(await describeServer(), await describeServer())
})

t.test('the types of the client are those of openapi.json; `npm run prepare` regenerates them', async (t) => {
  const types = readFileSync(new URL('src/generated/openapi.ts', ROOT), 'utf8')
  t.ok(types.endsWith(astToString(await openapiTS(written))), 'the types are up to date')
})

t.test('openapi.json describes the plugin’s routes as the server does, relative to the prefix', async (t) => {
  const { paths, servers } = pluginDescription().document
  t.same(
    servers?.map(({ url }) => url),
    ['/cloud']
  )
  const ofServer = Object.entries(description.document.paths).filter(([path]) => path.startsWith('/cloud/'))
  t.same(paths, Object.fromEntries(ofServer.map(([path, item]) => [path.slice('/cloud'.length), item])))
})

t.test('openapi.json repeats no response with a model, and uses each of its components', async (t) => {
  const { paths, components } = JSON.parse(written) as ApiDescription
  const responses = Object.values(paths).flatMap((path) =>
    Object.values(path).flatMap((operation) => Object.values(operation.responses))
  )
  const bodies = responses.flatMap(({ content, headers }) => (content === undefined ? [] : [{ content, headers }]))
  const models = bodies
    .map((body) => JSON.stringify(body))
    .filter((body) => body.includes('"$ref":"#/components/schemas/'))
  t.equal(new Set(models).size, models.length)
  const references = new Set(written.match(/(?<="\$ref": ")[^"]+/g))
  for (const kind of ['responses', 'headers'] as const) {
    const names = Object.keys(components[kind] ?? {})
    t.ok(names.length > 10)
    for (const name of names) t.ok(references.has(`#/components/${kind}/${name}`), `${name} is used`)
  }
})

for (const [owner, described] of DESCRIPTIONS) {
  t.test(`every example matches its schema, and every response and body ${owner} has one`, async (t) => {
    let count = 0
    const check = (pointer: readonly string[], value: unknown): void => {
      count++
      t.same(described.violations(pointer, value), [])
    }
    const { schemas } = described.document.components
    for (const [name, { examples = [] }] of Object.entries(schemas)) {
      for (const example of examples) check(['components', 'schemas', name], example)
    }
    for (const [path, method, { parameters = [], requestBody, responses }] of described.operations) {
      const where = ['paths', path, method]
      parameters.forEach(({ schema, example }, i) => {
        const given = [...(schema.examples ?? []), ...(example === undefined ? [] : [example])]
        for (const one of given) check([...where, 'parameters', String(i), 'schema'], one)
      })
      const bodies = Object.entries(responses).map(([status, { content = {} }]) => ({
        at: ['responses', status],
        content
      }))
      if (requestBody !== undefined) bodies.push({ at: ['requestBody'], content: requestBody.content })
      for (const { at, content } of bodies) {
        for (const [type, { schema, example, examples }] of Object.entries(content)) {
          const pointer = [...where, ...at, 'content', type, 'schema']
          const given = [
            ...Object.values(examples ?? {}).map(({ value }) => value),
            ...(example === undefined ? [] : [example])
          ]
          for (const one of given) check(pointer, one)
          const { $ref = '' } = schema as { $ref?: string }
          const ofModel = schemas[$ref.replace('#/components/schemas/', '')]?.examples ?? []
          t.ok(!type.endsWith('json') || given.length + ofModel.length > 0, `${pointer.join(' ')} has an example`)
        }
      }
    }
    t.ok(count > 60)
  })

  t.test(
    `every operation ${owner} has a unique id, a summary and one tag, and documents its error responses`,
    async (t) => {
      const names = described.operations.map(([, , { operationId }]) => operationId)
      t.equal(new Set(names).size, names.length)
      for (const [path, method, { summary = '', tags = [], responses, security }] of described.operations) {
        t.ok(summary.length > 3, `${method} ${path}`)
        t.equal(tags.length, 1)
        t.equal(
          security === undefined,
          '401' in responses,
          `${method} ${path} requires a user or says that it does not`
        )
        for (const [status, { content = {} }] of Object.entries(responses)) {
          const types =
            method === 'head' || Number(status) < 400 || status === '405' ? [] : ['application/problem+json']
          // A browser shows the body of a missing page to people.
          if (path === '/' && method === 'get' && status === '503') t.same(Object.keys(content), ['text/plain'])
          else if (Number(status) >= 400) t.same(Object.keys(content), types, `${method} ${path} ${status}`)
          if (method === 'head') t.same(content, {}, `HEAD ${path} has no body`)
        }
      }
    }
  )
}

t.test('an invalid example is detected', async (t) => {
  const { examples = [] } = description.document.components.schemas['Entry']!
  t.same(description.violations(['components', 'schemas', 'Entry'], examples[0]), [])
  for (const change of [{ size: 'large' }, { unheard: 1 }, { kind: null }, { modifiedAt: 'yesterday' }]) {
    t.equal(
      description.violations(['components', 'schemas', 'Entry'], { ...(examples[0] as object), ...change }).length,
      1
    )
  }
})

t.test('the document lists each status with all of its codes and no other', async (t) => {
  const stated = Object.entries(description.document.components.schemas).flatMap(([name, schema]) => {
    const [, status] = /^Problem(\d{3})$/.exec(name) ?? []
    if (status === undefined) return []
    const { allOf } = schema as unknown as { allOf: [unknown, { properties: { code: { enum: string[] } } }] }
    return allOf[1].properties.code.enum.map((code) => [code, Number(status)] as const)
  })
  t.same(
    Object.fromEntries(stated),
    Object.fromEntries(STORAGE_ERROR_CODES.map((code) => [code, new StorageError(code).statusCode]))
  )
  t.equal(stated.length, STORAGE_ERROR_CODES.length)
})

t.test('every route of the server is described, except those that serve the description', async (t) => {
  const app = buildApp(appConfig(), { database: await emptyDatabase() })
  t.teardown(() => app.close())
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push(`${one.toLowerCase()} ${url.replace(/:(\w+)/g, '{$1}')}`)
  })
  await app.ready()
  const described = new Set(description.operations.map(([path, method]) => `${method} ${path}`))
  // The files of the two pages are not part of the API.
  const own = routes.filter((route) => !/ \/(?:docs|page|picker)(?:\/|$)/.test(route))
  t.ok(own.length > 25)
  t.same(
    own.filter((route) => !described.has(route)),
    []
  )
  t.same(
    [...described].filter((route) => !routes.includes(route)),
    [],
    'no other route is described'
  )
})

t.test('the fields that connect a provider are described by the schema that validates them', async (t) => {
  const { content } = pluginDescription().document.paths['/connections/{id}']!['post']!.requestBody!
  const { anyOf } = content['application/json']!.schema as { anyOf: { $ref: string }[] }
  const described = anyOf.map(({ $ref }) => pluginDescription().document.components.schemas[$ref.split('/').at(-1)!])
  const checked = []
  for (const { load } of Object.values(PROVIDERS)) {
    const { connect } = (await load()).provider
    if (connect.type !== 'oauth2') checked.push(connect.schema)
  }
  t.equal(described.length, checked.length)
  for (const [i, schema] of checked.entries()) {
    t.match(described[i], { ...schema, properties: { label: { type: 'string' }, ...schema.properties } })
  }
})

t.test('a running server describes its enabled features, without authentication', async (t) => {
  const { app } = await serverApp(t)
  const answer = await app.inject('/openapi.json')
  t.equal(answer.statusCode, 200)
  const document = answer.json<ApiDescription>()
  t.ok('ObjectCredentials' in document.components.schemas, 'a custom provider')
  t.same(document.servers, [{ url: '/', description: 'The public URL of the application.' }])
  t.same((await app.inject('/docs/json')).json(), document, 'the page shows the same document')
})

t.test('without transfers their routes neither exist nor are described', async (t) => {
  const { app } = await serverApp(t, { config: { transfers: false } })
  const { paths } = (await app.inject('/openapi.json')).json<ApiDescription>()
  t.notOk('/cloud/{provider}/content' in paths)
  t.ok('/cloud/{provider}/listing' in paths)
})

t.test('behind a proxy the document contains the public URL of the server', async (t) => {
  const { app } = await serverApp(t, { config: { publicUrl: 'https://app.example.org/cloud/' } })
  const { servers, paths } = (await app.inject('/openapi.json')).json<ApiDescription>()
  t.equal(servers?.[0]?.url, 'https://app.example.org/cloud')
  t.ok('/cloud/providers' in paths, 'the path of the public URL is not removed from the routes')
})

t.test('the page runs only scripts of the server and none inline', async (t) => {
  const { app } = await serverApp(t)
  for (const url of ['/docs', '/docs/', '/docs/static/swagger-ui-bundle.js', '/docs/static/swagger-initializer.js']) {
    const { statusCode, headers, body } = await app.inject(url)
    t.equal(statusCode, 200, url)
    const policy = String(headers['content-security-policy'])
    t.match(policy, /default-src 'none'; script-src 'self'; style-src 'self' 'sha256-[\w+/]+=';/)
    t.notMatch(policy, /unsafe|https?:|\*/)
    t.equal(headers['x-content-type-options'], 'nosniff')
    if (url.endsWith('.js')) continue
    t.notMatch(body, /(?:src|href)="(?:https?:)?\/\//, 'no other host')
    t.notMatch(body, /<script(?![^>]* src=)|<style|\bon\w+=/)
  }
  const { headers } = await app.inject('/health/live')
  t.equal(headers['content-security-policy'], undefined, 'the policy applies to the page only')
})
