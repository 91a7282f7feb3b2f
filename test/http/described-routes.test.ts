import swagger from '@fastify/swagger'
import t from 'tap'
import { type ApiDescription, OpenApiDocument } from '../support/openapi/api-description.ts'
import { oauthApp, scriptedProvider, testApp } from '../support/app/app.ts'
import { WritableBackend } from '../support/backend/writable-backend.ts'

t.test('a host with @fastify/swagger has the plugin routes in its document', async (t) => {
  const { app } = await testApp(t, { transfers: true, routePrefix: '/files' }, {}, async (host) => {
    await host.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'Host', version: '1' } } })
    host.addSchema({ $id: 'Entry', type: 'object', properties: { own: { type: 'string' } } })
    host.get('/own', { schema: { response: { 200: { $ref: 'Entry#' } } } }, () => ({ own: 'mine', other: 'gone' }))
  })
  await app.ready()
  const document = app.swagger() as unknown as ApiDescription
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.values(item).map(({ operationId }) => `${path} ${operationId}`)
  )
  t.same(operations.sort(), [
    '/files/connections disconnectAll',
    '/files/connections listConnections',
    '/files/connections/{id} changeConnection',
    '/files/connections/{id} connect',
    '/files/connections/{id} disconnect',
    '/files/connections/{id}/verify verifyConnection',
    '/files/connections/{provider}/authorize authorize',
    '/files/connections/{provider}/authorize/{flowId}/poll pollLogin',
    '/files/connections/{provider}/callback finishAuthorization',
    '/files/events watchFolders',
    '/files/providers listProviders',
    '/files/{provider}/content download',
    '/files/{provider}/content removeContent',
    '/files/{provider}/content upload',
    '/files/{provider}/folders createFolder',
    '/files/{provider}/listing listFolder',
    '/own undefined'
  ])
  t.equal((await app.inject('/own')).body, '{"own":"mine"}', 'the host’s own schemas still work')

  const described = new OpenApiDocument(document)
  const answer = await app.inject({ url: '/files/providers', headers: { 'x-user': 'ann' } })
  const { headers, body, statusCode: status } = answer
  t.same(described.mismatches({ method: 'GET', url: '/files/providers', status, headers, body }), [])
  const wrong = body.replace('"scripted"', 'null')
  t.equal(described.mismatches({ method: 'GET', url: '/files/providers', status, headers, body: wrong }).length, 1)
})

t.test('describing the routes does not change their responses', async (t) => {
  const backend = new WritableBackend()
  const ask = async (isDescribed: boolean) => {
    const { app, as, connect } = await testApp(
      t,
      { transfers: true, providers: { scripted: scriptedProvider(backend).provider } },
      { genReqId: () => 'one' },
      async (host) => {
        host.setSerializerCompiler(() => () => '"the host’s own"')
        host.setValidatorCompiler(() => () => ({ error: new Error('the host’s own') }))
        host.setSchemaErrorFormatter(() => new Error('the host’s own'))
        if (isDescribed) await host.register(swagger, { openapi: { openapi: '3.1.0' } })
      }
    )
    t.equal(app.hasDecorator('swagger'), isDescribed)
    const id = await connect('ann')
    const ann = as('ann')
    const answers = [
      await ann.get('/cloud/providers'),
      await ann.get('/cloud/scripted/listing'),
      await ann.get('/cloud/scripted/listing?limit=0'),
      await ann.get('/cloud/scripted/listing?folders=1'),
      await ann.send('POST', '/cloud/connections/scripted', { account: 1 }),
      await ann.send('POST', '/cloud/connections/scripted'),
      await ann.send('POST', '/cloud/connections/unknown', {}),
      await ann.send('PATCH', `/cloud/connections/${id}`, { label: '' }),
      await ann.send('PATCH', `/cloud/connections/${id}`),
      await ann.send('POST', '/cloud/scripted/folders', { parentId: 1, name: 'a' }),
      await ann.send('POST', '/cloud/scripted/folders', { name: 'a', more: true }),
      await ann.get('/cloud/scripted/listing?kind=document'),
      await ann.send('POST', '/cloud/scripted/folders', { name: 'a', 'token=a b': true }),
      await app.inject('/cloud/connections/unknown/callback?state=a&state=b&more=1')
    ]
    return answers.map(({ statusCode, body }) => `${statusCode} ${body.replaceAll(id, 'ID')}`)
  }
  const bare = await ask(false)
  t.same(await ask(true), bare)
  t.same(
    bare.map((answer) => /^\d+/.exec(answer)?.[0]),
    ['200', '200', '400', '400', '400', '400', '404', '400', '400', '400', '400', '400', '400', '404']
  )
  t.match(bare[2], 'querystring/limit must be >= 1')
  t.match(bare[4], 'body must have required property')
  t.match(bare[7], 'body/label must NOT have fewer than 1 characters')
  t.match(bare[9], 'body/parentId must be string,null')
  const details = bare.map((answer) => {
    const [, json = ''] = /^\d+ (\{.*)$/.exec(answer) ?? []
    return json === '' ? undefined : (JSON.parse(json) as { detail?: string }).detail
  })
  t.match(details[3], /^querystring must NOT have additional properties: "folders"$/)
  t.match(details[10], /^body must NOT have additional properties: "more"$/)
  t.match(details[11], /^querystring\/kind must be equal to one of the allowed values: "folder", "file"$/)
  t.match(details[12], /^body must NOT have additional properties$/, 'a name that may be a value is not repeated')
})

t.test('a flow begins without a body when routes are described', async (t) => {
  const { as } = await oauthApp(t, {
    before: async (host) => host.register(swagger, { openapi: { openapi: '3.1.0' } })
  })
  const answer = await as('ann').send('POST', '/cloud/connections/cloud/authorize')
  t.equal(answer.statusCode, 200)
})
