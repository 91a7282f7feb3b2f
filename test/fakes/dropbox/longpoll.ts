import type { ServerResponse } from 'node:http'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { answerLongPoll } from '../long-poll.ts'
import { DropboxFailure, DropboxMistake, endpointError } from './failure.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import type { FakeDropboxListings } from './listings.ts'
import type { FakeDropboxTree } from './tree.ts'
import { integer, struct, text } from './schema.ts'

const OPERATION = 'files/list_folder/longpoll'
const ARG = struct({ cursor: text('(.|[\\r\\n])+') }, { timeout: integer(30, 480) })
const DEFAULT_TIMEOUT_S = 30

/** Handles `list_folder/longpoll`, on a host of its own that accepts no token. */
export function answerDropboxLongpoll(
  request: FakeCloudRequest,
  response: ServerResponse,
  {
    tree,
    listings,
    knobs
  }: Record<'tree', FakeDropboxTree> & {
    readonly listings: FakeDropboxListings
    readonly knobs: FakeDropboxKnobs
  }
): void {
  const { method, path, headers, body } = request
  const mistake = (description: string) => new DropboxMistake(OPERATION, description)
  if (path !== `/2/${OPERATION}` || method !== 'POST') throw mistake(`${method} ${path}`)
  if (headers['authorization'] !== undefined) throw mistake('a token, which this function does not take')
  const unexpected = Object.keys(headers).filter((name) => name.startsWith('dropbox-'))
  if (unexpected.length > 0) throw mistake(`the header ${unexpected.join()}`)
  if (headers['content-type'] !== 'application/json') throw mistake('another content type')
  const arg = JSON.parse(body?.toString() ?? '') as { cursor: string; timeout?: number }
  const error = ARG(arg)
  if (error !== undefined) throw mistake(error)
  const first = listings.hasChanges(arg.cursor, tree)
  if (first === 'reset') throw new DropboxFailure(endpointError({ '.tag': 'reset' }))
  if (first === 'unknown') throw mistake('Invalid "cursor" parameter')
  const { longpollBackoff: backoff } = knobs
  answerLongPoll(response, {
    poll: () => (listings.hasChanges(arg.cursor, tree) === false ? undefined : { changes: true, backoff }),
    timeoutMs: Math.min(knobs.longpollMs, (arg.timeout ?? DEFAULT_TIMEOUT_S) * 1000),
    atEnd: { changes: false, backoff }
  })
}
