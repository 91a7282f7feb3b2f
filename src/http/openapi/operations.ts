import { loginFlowSchema, oauthFlowSchema } from '../schemas.ts'
import { closedObject, connectionExample, type Schema } from './models.ts'
import {
  CODES,
  emptyResponse,
  eventStreamResponse,
  jsonResponse,
  LISTING_HEADERS,
  modelResponse,
  NO_STORE_HEADERS,
  PRIVATE_HEADERS,
  problemResponses,
  problemResponsesWith
} from './responses.ts'

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
const pathParameters = (properties: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', properties })
export const providerPath = pathParameters({ provider: PROVIDER })
const connectionPath = pathParameters({ id: CONNECTION })

const connectionResponse = (description: string): Schema => modelResponse(description, 'Connection', NO_STORE_HEADERS)

export const operations = {
  listFolder: {
    summary: 'List a folder',
    description:
      'Returns one page of a folder, from the cache if it is fresh. A missing folder is a 404, never an empty page.',
    tags: ['Listings'],
    params: providerPath,
    headers: {
      type: 'object',
      properties: { 'If-None-Match': { type: 'string', description: 'The `ETag` of an earlier response.' } }
    },
    response: {
      200: modelResponse('The page.', 'Listing', LISTING_HEADERS),
      304: emptyResponse('Not modified.', LISTING_HEADERS),
      ...problemResponses(CODES.reads, CODES.callsProvider, CODES.usesConnection, [
        'INVALID_REQUEST',
        'INVALID_CURSOR',
        'FOLDER_NOT_FOUND',
        'CURSOR_EXPIRED',
        'UNSUPPORTED'
      ])
    }
  },
  watchFolders: {
    summary: 'Watch folders',
    description:
      'Server-Sent Events. `changed`: the folder may have changed; list it again with `If-None-Match`. The stream ends after about 15 minutes, and when the connection changes. HTTP/1.1 closes the connection then.',
    tags: ['Listings'],
    response: {
      200: eventStreamResponse('The events.', {
        'Cache-Control': { type: 'string', const: 'private, no-store, no-transform' },
        'X-Accel-Buffering': { type: 'string', const: 'no' }
      }),
      ...problemResponses(CODES.reads, CODES.callsProvider, [
        'INVALID_REQUEST',
        'PROVIDER_UNKNOWN',
        'CONNECTION_NOT_FOUND',
        'FOLDER_NOT_FOUND'
      ])
    }
  },
  listProviders: {
    summary: 'List providers',
    description: 'Returns the enabled providers, how users connect them, and their capabilities.',
    tags: ['Connections'],
    response: { 200: modelResponse('The providers.', 'Providers', PRIVATE_HEADERS), ...problemResponses(CODES.reads) }
  },
  listConnections: {
    summary: 'List connections',
    description: 'Returns the connections of the user.',
    tags: ['Connections'],
    response: {
      200: modelResponse('The connections.', 'Connections', PRIVATE_HEADERS),
      ...problemResponses(CODES.reads)
    }
  },
  connect: {
    summary: 'Connect with credentials',
    description:
      'Tests the credentials at the provider, encrypts them and stores the connection. Connecting the same account again updates its connection.',
    tags: ['Connections'],
    params: pathParameters({ id: PROVIDER }),
    body: {
      type: 'object',
      description: 'The fields of the provider’s schema (see the list of providers), and an optional `label`.',
      properties: { label: { type: 'string' } },
      additionalProperties: true,
      examples: [{ label: 'Archive', baseUrl: 'https://dav.example.org/files', username: 'ann', password: 'secret' }]
    },
    response: {
      201: connectionResponse('The connection.'),
      ...problemResponses(CODES.changes, CODES.callsProvider, [
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
    summary: 'Start a login in the browser',
    description:
      'OAuth: returns the URL to open, and sets a cookie that the callback requires. Login at the user’s own server: returns the URL to open, and the id of a flow to poll.',
    tags: ['Connections'],
    params: providerPath,
    body: {
      anyOf: [oauthFlowSchema, loginFlowSchema],
      examples: [{ returnTo: '/settings' }, { baseUrl: 'https://cloud.example.org' }]
    },
    response: {
      200: jsonResponse(
        'The URL to open.',
        {
          oneOf: [
            closedObject({ authorizationUrl: { type: 'string' } }),
            closedObject({ loginUrl: { type: 'string' }, flowId: { type: 'string' } })
          ]
        },
        {
          ...NO_STORE_HEADERS,
          'Set-Cookie': { type: 'string', description: 'OAuth: binds the flow to this browser.' }
        },
        { authorizationUrl: 'https://accounts.example.org/authorize?response_type=code&state=…' }
      ),
      ...problemResponses(CODES.changes, CODES.callsProvider, [
        'INVALID_CREDENTIALS',
        'INVALID_ADDRESS',
        'PROVIDER_UNKNOWN',
        'UNSUPPORTED'
      ])
    }
  },
  pollLogin: {
    summary: 'Poll a login',
    description: 'A login expires after ten minutes.',
    tags: ['Connections'],
    params: pathParameters({
      provider: PROVIDER,
      flowId: { type: 'string', description: 'The `flowId` of the login.' }
    }),
    response: {
      201: connectionResponse('The user has logged in: the new connection.'),
      202: jsonResponse(
        'The user has not logged in yet.',
        closedObject({ status: { type: 'string', const: 'pending' } }),
        { ...NO_STORE_HEADERS, 'Retry-After': { type: 'string', description: 'Seconds until the next poll.' } },
        { status: 'pending' }
      ),
      ...problemResponses(CODES.changes, CODES.callsProvider, [
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
    summary: 'Finish an OAuth login',
    description: 'The redirect URI of the OAuth flow. Requires the cookie of the flow instead of authentication.',
    tags: ['Connections'],
    security: [],
    params: providerPath,
    querystring: {
      type: 'object',
      properties: {
        state: { type: 'string', description: 'The state of the flow. Valid once.' },
        code: { type: 'string', description: 'The authorization code.' },
        error: { type: 'string', description: 'The error code of the provider.' },
        iss: { type: 'string', description: 'The issuer (RFC 9207).' }
      },
      additionalProperties: true
    },
    response: {
      303: emptyResponse('Redirects to the application, with `error` in the query after a failure.', {
        ...NO_STORE_HEADERS,
        Location: { type: 'string', description: 'The `returnTo` of the flow.' },
        ...NO_REFERRER,
        'Set-Cookie': { type: 'string', description: 'Deletes the cookie of the flow.' }
      }),
      ...problemResponsesWith(NO_REFERRER, CODES.unauthenticated, [
        'INVALID_STATE',
        'PROVIDER_UNKNOWN',
        'AUTHENTICATION_UNAVAILABLE',
        'TOO_MANY_REQUESTS'
      ])
    }
  },
  refuseAuthorization: {
    summary: 'Reject HEAD requests',
    tags: ['Connections'],
    security: [],
    params: providerPath,
    response: {
      405: emptyResponse('Only `GET` is allowed.', {
        ...NO_STORE_HEADERS,
        ...NO_REFERRER,
        Allow: { type: 'string', const: 'GET' }
      }),
      ...problemResponsesWith(NO_REFERRER, CODES.unauthenticated)
    }
  },
  verifyConnection: {
    summary: 'Verify a connection',
    description: 'Requests the account from the provider. A connection in status `ERROR` becomes `ACTIVE` if it works.',
    tags: ['Connections'],
    params: connectionPath,
    response: {
      200: connectionResponse('The connection works.'),
      ...problemResponses(CODES.changes, CODES.callsProvider, [
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
    description:
      'Changes the label, or whether the connection is the default of its provider. A provider has at most one default.',
    tags: ['Connections'],
    params: connectionPath,
    response: {
      200: connectionResponse('The changed connection.'),
      ...problemResponses(CODES.changes, ['CONNECTION_NOT_FOUND'])
    }
  },
  disconnect: {
    summary: 'Disconnect',
    description: 'Deletes the connection, and revokes its access at the provider if possible.',
    tags: ['Connections'],
    params: connectionPath,
    response: {
      204: emptyResponse('The connection was deleted.'),
      ...problemResponses(CODES.changes, ['CONNECTION_NOT_FOUND'])
    }
  },
  disconnectAll: {
    summary: 'Disconnect all',
    description: 'Deletes all connections of the user, for example when the user leaves the application.',
    tags: ['Connections'],
    response: { 204: emptyResponse('All connections were deleted.'), ...problemResponses(CODES.changes) }
  }
} as const satisfies Readonly<Record<string, Operation>>
