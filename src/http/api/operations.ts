import { loginFlowSchema, oauthFlowSchema } from '../schemas.ts'
import { empty, json, LISTED, model, NO_STORE, PRIVATE } from './answers.ts'
import { connectionExample } from './examples.ts'
import { closed, type Schema } from './models.ts'
import { CODES, problems, problemsWith } from './problems.ts'

/** The description of a route, without the schemas by which it validates. */
export interface Operation {
  readonly summary: string
  readonly description?: string
  readonly tags: readonly [string]
  readonly security?: readonly []
  readonly params?: Schema
  readonly headers?: Schema
  readonly querystring?: Schema
  readonly body?: Schema
  readonly consumes?: readonly string[]
  readonly response: Readonly<Record<string, Schema>>
}

const NO_REFERRER = { 'Referrer-Policy': { type: 'string', const: 'no-referrer' } }
const PROVIDER = { type: 'string', description: 'The id of a provider.', examples: ['s3'] }
const CONNECTION = { type: 'string', description: 'The id of a connection.', examples: [connectionExample.id] }
const path = (properties: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', properties })
export const providerPath = path({ provider: PROVIDER })
const connectionPath = path({ id: CONNECTION })

const connected = (description: string): Schema => model(description, 'Connection', NO_STORE)

export const operations = {
  listFolder: {
    summary: 'List a folder',
    description:
      'One page of a folder, from the cache where it is fresh. A folder that is gone is 404, never an empty page.',
    tags: ['Listings'],
    params: providerPath,
    headers: {
      type: 'object',
      properties: { 'If-None-Match': { type: 'string', description: 'An `ETag` of a listing.' } }
    },
    response: {
      200: model('The page.', 'Listing', LISTED),
      304: empty('The client has it already.', LISTED),
      ...problems(CODES.reads, CODES.asksProvider, CODES.usesConnection, [
        'INVALID_REQUEST',
        'INVALID_CURSOR',
        'FOLDER_NOT_FOUND',
        'CURSOR_EXPIRED',
        'UNSUPPORTED'
      ])
    }
  },
  listProviders: {
    summary: 'List the providers',
    description: 'The kinds of clouds that are enabled, how each is connected and what it can do.',
    tags: ['Connections'],
    response: { 200: model('The providers.', 'Providers', PRIVATE), ...problems(CODES.reads) }
  },
  listConnections: {
    summary: 'List the connections',
    description: 'The connections of the user who asks.',
    tags: ['Connections'],
    response: { 200: model('The connections.', 'Connections', PRIVATE), ...problems(CODES.reads) }
  },
  connect: {
    summary: 'Connect with credentials',
    description:
      'Tries the credentials at the service, seals them and stores the connection. The same account again renews its connection.',
    tags: ['Connections'],
    params: path({ id: PROVIDER }),
    body: {
      type: 'object',
      description: 'The fields that the provider’s schema in the list of providers asks for, and a `label`.',
      properties: { label: { type: 'string' } },
      additionalProperties: true,
      examples: [{ label: 'Archive', baseUrl: 'https://dav.example.org/files', username: 'ann', password: 'secret' }]
    },
    response: {
      201: connected('The connection.'),
      ...problems(CODES.changes, CODES.asksProvider, [
        'INVALID_CREDENTIALS',
        'INVALID_ADDRESS',
        'PROVIDER_UNKNOWN',
        'UNSUPPORTED',
        'FOLDER_NOT_FOUND',
        'OBJECT_NOT_FOUND'
      ])
    }
  },
  authorize: {
    summary: 'Begin to connect in the browser',
    description:
      'With OAuth: where to send the browser, and a cookie that it keeps meanwhile. With a login at the user’s own server: the same, and a flow to poll.',
    tags: ['Connections'],
    params: providerPath,
    body: {
      anyOf: [oauthFlowSchema, loginFlowSchema],
      examples: [{ returnTo: '/settings' }, { baseUrl: 'https://cloud.example.org' }]
    },
    response: {
      200: json(
        'Where to send the browser.',
        {
          oneOf: [
            closed({ authorizationUrl: { type: 'string' } }),
            closed({ loginUrl: { type: 'string' }, flowId: { type: 'string' } })
          ]
        },
        { ...NO_STORE, 'Set-Cookie': { type: 'string', description: 'With OAuth: binds the flow to this browser.' } },
        { authorizationUrl: 'https://accounts.example.org/authorize?response_type=code&state=…' }
      ),
      ...problems(CODES.changes, CODES.asksProvider, [
        'INVALID_CREDENTIALS',
        'INVALID_ADDRESS',
        'PROVIDER_UNKNOWN',
        'UNSUPPORTED'
      ])
    }
  },
  pollLogin: {
    summary: 'Ask whether the user has logged in',
    description: 'A flow lasts ten minutes.',
    tags: ['Connections'],
    params: path({ provider: PROVIDER, flowId: { type: 'string', description: 'As it was begun with.' } }),
    response: {
      201: connected('The user has: the connection.'),
      202: json(
        'Not yet.',
        closed({ status: { type: 'string', const: 'pending' } }),
        { ...NO_STORE, 'Retry-After': { type: 'string', description: 'In seconds.' } },
        { status: 'pending' }
      ),
      ...problems(CODES.changes, CODES.asksProvider, [
        'INVALID_STATE',
        'INVALID_CREDENTIALS',
        'INVALID_ADDRESS',
        'PROVIDER_UNKNOWN',
        'UNSUPPORTED',
        'FOLDER_NOT_FOUND',
        'OBJECT_NOT_FOUND'
      ])
    }
  },
  finishAuthorization: {
    summary: 'Come back from the provider',
    description: 'Where the provider sends the browser back to. It asks for the cookie of the flow and for no user.',
    tags: ['Connections'],
    security: [],
    params: providerPath,
    querystring: {
      type: 'object',
      properties: {
        state: { type: 'string', description: 'Of the flow. It works once.' },
        code: { type: 'string', description: 'What the provider grants.' },
        error: { type: 'string', description: 'Why it does not.' },
        iss: { type: 'string', description: 'RFC 9207.' }
      },
      additionalProperties: true
    },
    response: {
      303: empty('Back to the application, with `error` in the query after a refusal.', {
        ...NO_STORE,
        Location: { type: 'string', description: 'Inside of the application.' },
        ...NO_REFERRER,
        'Set-Cookie': { type: 'string', description: 'Takes the cookie of the flow away.' }
      }),
      ...problemsWith(NO_REFERRER, CODES.open, [
        'INVALID_STATE',
        'PROVIDER_UNKNOWN',
        'AUTHENTICATION_UNAVAILABLE',
        'TOO_MANY_REQUESTS'
      ])
    }
  },
  refuseAuthorization: {
    summary: 'Nothing happens but by GET',
    tags: ['Connections'],
    security: [],
    params: providerPath,
    response: {
      405: empty('Not by HEAD.', { ...NO_STORE, ...NO_REFERRER, Allow: { type: 'string', const: 'GET' } }),
      ...problemsWith(NO_REFERRER, CODES.open)
    }
  },
  verifyConnection: {
    summary: 'Verify a connection',
    description: 'Asks the provider who this is. A connection with an error that works again is active after it.',
    tags: ['Connections'],
    params: connectionPath,
    response: {
      200: connected('It works.'),
      ...problems(CODES.changes, CODES.asksProvider, [
        'CONNECTION_NOT_FOUND',
        'PROVIDER_UNKNOWN',
        'FOLDER_NOT_FOUND',
        'OBJECT_NOT_FOUND',
        'CONNECTION_MISSING'
      ])
    }
  },
  changeConnection: {
    summary: 'Change a connection',
    description: 'Its label, or whether it is the default of its provider: there is one of those at most.',
    tags: ['Connections'],
    params: connectionPath,
    response: { 200: connected('As it is now.'), ...problems(CODES.changes, ['CONNECTION_NOT_FOUND']) }
  },
  disconnect: {
    summary: 'Disconnect',
    description: 'Deletes the connection, and ends its access at the provider as well as can be.',
    tags: ['Connections'],
    params: connectionPath,
    response: { 204: empty('It is gone.'), ...problems(CODES.changes, ['CONNECTION_NOT_FOUND']) }
  },
  disconnectAll: {
    summary: 'Disconnect all',
    description: 'For a user who leaves.',
    tags: ['Connections'],
    response: { 204: empty('All are gone.'), ...problems(CODES.changes) }
  }
} as const satisfies Readonly<Record<string, Operation>>
