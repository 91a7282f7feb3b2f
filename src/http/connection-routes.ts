import type { FastifyInstance } from 'fastify'
import type { Connections } from '../connections/connections.ts'
import type { ProviderCatalog } from '../connections/provider-catalog.ts'
import type { Connection } from '../core/connection.ts'
import type { ProviderDefinition } from '../core/provider.ts'
import { StorageError } from '../errors.ts'
import { userOf } from './authentication.ts'
import { setPrivateHeaders } from './headers.ts'
import { clientSignal } from './in-flight.ts'
import { type DescribeRoute, skipValidation } from './openapi/describe.ts'
import { connectionChangesSchema, credentialsSchema } from './schemas.ts'
import type { compileBody } from './validation.ts'

export interface ConnectionRouteDeps {
  readonly providers: ProviderCatalog
  readonly connections: Connections
}

/** Credentials are a few short strings. */
const BODY_LIMIT = 64 * 1024

/** Registers the routes that test credentials at the provider. */
export function connectRoutes(
  app: FastifyInstance,
  { providers, connections }: ConnectionRouteDeps,
  describe: DescribeRoute,
  compile: typeof compileBody
): void {
  const checks = new Map<string, (body: unknown) => void>()

  function getBodyCheck({ id, connect: { type, ...connectSettings } }: ProviderDefinition): (body: unknown) => void {
    const cached = checks.get(id)
    if (cached !== undefined) return cached
    if (!('schema' in connectSettings)) {
      throw new StorageError(
        'UNSUPPORTED',
        'This provider is connected in the browser. Use POST /connections/{provider}/authorize.'
      )
    }
    const check = compile(credentialsSchema(connectSettings.schema))
    checks.set(id, check)
    return check
  }

  // A provider's id: OpenAPI allows one name per path pattern, and other methods take a connection's id.
  app.post<{ Params: { id: string } }>(
    '/connections/:id',
    { schema: describe('connect'), validatorCompiler: skipValidation, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const prepared = await providers.prepare(request.params.id)
      getBodyCheck(prepared.provider)(request.body)
      const { label, ...fields } = request.body as Record<string, unknown> & { label?: string }
      const connection = await connections.connect({
        userId: userOf(request),
        prepared,
        fields,
        label: parseLabel(label),
        signal: clientSignal(reply)
      })
      return reply.code(201).header('cache-control', 'no-store').send(toPublicConnection(connection))
    }
  )

  app.post<{ Params: { id: string } }>(
    '/connections/:id/verify',
    { schema: describe('verifyConnection'), bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { id } = request.params
      const connection = await connections.verify({ userId: userOf(request), id, signal: clientSignal(reply) })
      return reply.header('cache-control', 'no-store').send(toPublicConnection(connection))
    }
  )
}

export function connectionRoutes(
  app: FastifyInstance,
  { connections }: ConnectionRouteDeps,
  describe: DescribeRoute
): void {
  app.get('/connections', { schema: describe('listConnections'), exposeHeadRoute: true }, async (request, reply) => {
    const list = await connections.list(userOf(request))
    setPrivateHeaders(reply)
    return { connections: list.map(toPublicConnection) }
  })

  const changes = describe('changeConnection', { body: connectionChangesSchema })
  app.patch<{ Params: { id: string } }>(
    '/connections/:id',
    { schema: changes, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { label, default: isDefault } = request.body as { label?: string; default?: boolean }
      const connection = await connections.change(userOf(request), request.params.id, {
        ...(label !== undefined && { label: parseLabel(label) }),
        ...(isDefault !== undefined && { isDefault })
      })
      return reply.header('cache-control', 'no-store').send(toPublicConnection(connection))
    }
  )

  app.delete<{ Params: { id: string } }>(
    '/connections/:id',
    { schema: describe('disconnect') },
    async (request, reply) => {
      await connections.disconnect(userOf(request), request.params.id)
      return reply.code(204).send()
    }
  )

  app.delete('/connections', { schema: describe('disconnectAll') }, async (request, reply) => {
    await connections.disconnectAll(userOf(request))
    return reply.code(204).send()
  })
}

/** Returns the public fields. They exclude credentials, even sealed, and all of the last failure except its code. */
export function toPublicConnection(connection: Connection): object {
  return {
    id: connection.id,
    provider: connection.provider,
    label: connection.label,
    account: connection.accountId,
    status: connection.status,
    default: connection.isDefault,
    createdAt: connection.createdAt.toISOString(),
    lastError: connection.lastErrorCode
  }
}

/** Rejects a label that PostgreSQL cannot store as text. */
export function parseLabel(label: string): string
export function parseLabel(label: string | undefined): string | undefined
export function parseLabel(label: string | undefined): string | undefined {
  if (label !== undefined && (label.includes('\0') || !label.isWellFormed())) {
    throw new StorageError('INVALID_REQUEST', 'body/label contains invalid characters.')
  }
  return label
}

export function providerRoutes(
  app: FastifyInstance,
  { providers }: ConnectionRouteDeps,
  describe: DescribeRoute
): void {
  app.get('/providers', { schema: describe('listProviders'), exposeHeadRoute: true }, async (_request, reply) => {
    const enabled = await providers.loadAll()
    setPrivateHeaders(reply)
    return { providers: enabled.map(toPublicProvider) }
  })
}

function toPublicProvider({ id, label, connect, capabilities }: ProviderDefinition): object {
  const publicConnect =
    connect.type === 'oauth2' ? { type: connect.type } : { type: connect.type, schema: connect.schema }
  return { id, label, connect: publicConnect, capabilities: { changes: 'unsupported', ...capabilities } }
}
