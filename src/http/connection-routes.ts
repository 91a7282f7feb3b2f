import type { FastifyInstance } from 'fastify'
import type { ChangeConnection, Connect, Disconnect, Verify } from '../connections/connections.ts'
import type { Connection } from '../core/connection.ts'
import type { ProviderDefinition } from '../core/provider.ts'
import { StorageError } from '../errors.ts'
import { userOf } from './authentication.ts'
import { privateAnswer } from './headers.ts'
import { clientSignal } from './in-flight.ts'
import { type Describe, unchecked } from './openapi/describe.ts'
import { connectionChangesSchema, credentialsSchema } from './schemas.ts'
import type { compileBody } from './validation.ts'

export interface ConnectionRouteDeps {
  readonly listConnections: (userId: string) => Promise<Connection[]>
  /** @throws StorageError `PROVIDER_UNKNOWN` */
  readonly loadProvider: (id: string) => Promise<ProviderDefinition>
  readonly connect: Connect
  readonly verify: Verify
  readonly change: ChangeConnection
  readonly disconnect: Disconnect
}

/** Credentials are a few short strings. */
const BODY_LIMIT = 64 * 1024

/** Registers the routes that test credentials at the provider. */
export function connectRoutes(
  app: FastifyInstance,
  { loadProvider, connect, verify }: ConnectionRouteDeps,
  describe: Describe,
  compile: typeof compileBody
): void {
  const checks = new Map<string, (body: unknown) => void>()

  function checkOf({ id, connect: { type, ...typed } }: ProviderDefinition): (body: unknown) => void {
    const known = checks.get(id)
    if (known !== undefined) return known
    if (!('schema' in typed)) {
      throw new StorageError(
        'UNSUPPORTED',
        'This provider is connected in the browser. Use POST /connections/{provider}/authorize.'
      )
    }
    const check = compile(credentialsSchema(typed.schema))
    checks.set(id, check)
    return check
  }

  // A provider's id: OpenAPI allows one name per path pattern, and other methods take a connection's id.
  app.post<{ Params: { id: string } }>(
    '/connections/:id',
    { schema: describe('connect'), validatorCompiler: unchecked, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const provider = await loadProvider(request.params.id)
      checkOf(provider)(request.body)
      const { label, ...fields } = request.body as Record<string, unknown> & { label?: string }
      const connection = await connect({
        userId: userOf(request),
        provider,
        fields,
        label: parseLabel(label),
        signal: clientSignal(reply)
      })
      return reply.code(201).header('cache-control', 'no-store').send(viewOf(connection))
    }
  )

  app.post<{ Params: { id: string } }>(
    '/connections/:id/verify',
    { schema: describe('verifyConnection'), bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { id } = request.params
      const connection = await verify({ userId: userOf(request), id, signal: clientSignal(reply) })
      return reply.header('cache-control', 'no-store').send(viewOf(connection))
    }
  )
}

export function connectionRoutes(app: FastifyInstance, deps: ConnectionRouteDeps, describe: Describe): void {
  const { listConnections, change, disconnect } = deps

  app.get('/connections', { schema: describe('listConnections'), exposeHeadRoute: true }, async (request, reply) => {
    const connections = await listConnections(userOf(request))
    privateAnswer(reply)
    return { connections: connections.map(viewOf) }
  })

  const changes = describe('changeConnection', { body: connectionChangesSchema })
  app.patch<{ Params: { id: string } }>(
    '/connections/:id',
    { schema: changes, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { label, default: isDefault } = request.body as { label?: string; default?: boolean }
      const connection = await change(userOf(request), request.params.id, {
        ...(label !== undefined && { label: parseLabel(label) }),
        ...(isDefault !== undefined && { isDefault })
      })
      return reply.header('cache-control', 'no-store').send(viewOf(connection))
    }
  )

  app.delete<{ Params: { id: string } }>(
    '/connections/:id',
    { schema: describe('disconnect') },
    async (request, reply) => {
      await disconnect.one(userOf(request), request.params.id)
      return reply.code(204).send()
    }
  )

  app.delete('/connections', { schema: describe('disconnectAll') }, async (request, reply) => {
    await disconnect.all(userOf(request))
    return reply.code(204).send()
  })
}

/** Returns the public fields. They exclude credentials, even sealed, and all of the last failure except its code. */
export function viewOf(connection: Connection): object {
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

export interface ProviderRouteDeps {
  readonly loadProviders: () => Promise<ProviderDefinition[]>
}

export function providerRoutes(app: FastifyInstance, { loadProviders }: ProviderRouteDeps, describe: Describe): void {
  app.get('/providers', { schema: describe('listProviders'), exposeHeadRoute: true }, async (_request, reply) => {
    const providers = await loadProviders()
    privateAnswer(reply)
    return { providers: providers.map(view) }
  })
}

function view({ id, label, connect, capabilities }: ProviderDefinition): object {
  const how = connect.type === 'oauth2' ? { type: connect.type } : { type: connect.type, schema: connect.schema }
  return { id, label, connect: how, capabilities }
}
