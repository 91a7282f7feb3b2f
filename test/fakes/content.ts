import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { resetWhenRead } from './reset.ts'

/** Resets `times` downloads, each after `afterBytes` of its content. */
export interface DownloadResets {
  times: number
  readonly afterBytes: number
}

/** Responds with a file, or with the single range of it that was requested. */
export function sendContent(
  response: ServerResponse,
  content: Buffer,
  range: string | undefined,
  resets: DownloadResets,
  headers: OutgoingHttpHeaders = {}
): void {
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
  const parsed = parseRange(range ?? '', content.length)
  if (parsed === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${content.length}`)
    response.writeHead(416, { 'content-type': 'text/html', 'content-length': 0 }).end()
    return
  }
  const [start, end] = parsed ?? [0, content.length]
  response.setHeader('content-length', end - start)
  if (parsed !== undefined) response.setHeader('content-range', `bytes ${start}-${end - 1}/${content.length}`)
  response.writeHead(parsed === undefined ? 200 : 206)
  endOrReset(response, content.subarray(start, end), resets)
}

/** Sends the rest of a body, or its beginning and a reset if the test has requested that. */
export function endOrReset(response: ServerResponse, body: Buffer, resets: DownloadResets): void {
  if (resets.times <= 0) {
    response.end(body)
    return
  }
  resets.times--
  response.flushHeaders()
  response.write(body.subarray(0, resets.afterBytes), () => {
    void resetWhenRead(response.socket)
  })
}

/** Parses a single range as `[start, end)`. Returns undefined for several or invalid ranges, which servers ignore. */
function parseRange(header: string, size: number): [start: number, end: number] | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return size === 0 || Number(last) === 0 ? 'unsatisfiable' : [Math.max(0, size - Number(last)), size]
  if (last !== '' && Number(last) < Number(first)) return undefined
  if (Number(first) >= size) return 'unsatisfiable'
  return [Number(first), last === '' ? size : Math.min(Number(last) + 1, size)]
}
