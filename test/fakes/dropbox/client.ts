import { Dropbox, DropboxResponseError, type files } from 'dropbox'
import type { Test } from 'tap'
import { sendRequest, type RequestOptions } from '../../support/dav/requests.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { FAKE_DROPBOX_TOKEN, FakeDropbox, type FakeDropboxOptions } from './fake-dropbox.ts'

type Body = Record<string, unknown> & { error_summary?: string; error?: Record<string, unknown> }

/** The official client, redirected to the fake. */
export function clientFor(fake: FakeDropbox, pathRoot?: object): Dropbox {
  const fetchFromFake = (url: string, init?: RequestInit) => {
    const { hostname, pathname } = new URL(url)
    return fetch((hostname === 'content.dropboxapi.com' ? fake.contentUrl : fake.url) + pathname, init)
  }
  const pathRootOption = pathRoot === undefined ? {} : { pathRoot: JSON.stringify(pathRoot) }
  return new Dropbox({ accessToken: FAKE_DROPBOX_TOKEN, fetch: fetchFromFake, ...pathRootOption })
}

/** Starts a fake with the official client for it. */
export async function startWithClient(t: Test, options?: FakeDropboxOptions) {
  const fake = await FakeDropbox.start(t, options)
  return { fake, client: clientFor(fake) }
}

/** Sends requests to the fake without a client. */
export async function startFakeDropbox(t: Test, options?: FakeDropboxOptions) {
  const fake = await FakeDropbox.start(t, options)
  const authorization = `Bearer ${FAKE_DROPBOX_TOKEN}`
  const send = async (url: string, { headers, ...requestOptions }: RequestOptions) => {
    const response = await sendRequest(url, {
      method: 'POST',
      ...requestOptions,
      headers: { authorization, ...headers }
    })
    const isJson = String(response.headers['content-type']).startsWith('application/json')
    const json = (isJson ? JSON.parse(response.text) : {}) as Body
    return { ...response, json, error: json.error, summary: json.error_summary?.replace(/\.{0,3}$/, '') }
  }
  const rpc = (operation: string, arg: unknown, headers: RequestOptions['headers'] = {}) =>
    send(`${fake.url}/2/${operation}`, {
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(arg)
    })
  const content = (operation: string, arg: unknown, body?: string, headers: RequestOptions['headers'] = {}) =>
    send(`${fake.contentUrl}/2/${operation}`, {
      headers: {
        'dropbox-api-arg': JSON.stringify(arg),
        ...(body !== undefined && { 'content-type': 'application/octet-stream' }),
        ...headers
      },
      ...(body !== undefined && { body })
    })
  return { fake, send, rpc, content }
}

/** Returns the client's error of a failed call. */
export async function refusalOf(promise: Promise<unknown>): Promise<DropboxResponseError<Body>> {
  const error = await rejectionOf(promise)
  if (error instanceof DropboxResponseError) return error as DropboxResponseError<Body>
  throw new Error('it was not refused', { cause: error })
}

/** Without the dots at the end. */
export const errorSummaryOf = async (promise: Promise<unknown>) =>
  (await refusalOf(promise)).error.error_summary?.replace(/\.{0,3}$/, '')

/** Returns all pages, or fifty if they do not end. */
export async function listAll(client: Dropbox, arg: files.ListFolderArg) {
  const pages = [(await client.filesListFolder(arg)).result]
  for (let page = pages[0]; page?.has_more === true && pages.length < 50;) {
    page = (await client.filesListFolderContinue({ cursor: page.cursor })).result
    pages.push(page)
  }
  const entries = pages.flatMap((page) => page.entries)
  return { pages, entries, names: entries.map(({ name }) => name), last: pages.at(-1)?.cursor ?? '' }
}
