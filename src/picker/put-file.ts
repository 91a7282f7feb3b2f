import type { OnProgress } from './picker-api.ts'
import { PickerProblem, readProblem } from './problem.ts'

export interface PutOptions {
  readonly headers: Readonly<Record<string, string>>
  /** Whether cross-origin requests carry cookies. */
  readonly isWithCookies?: boolean
}

/** Uploads a file without overwriting another. Uses XMLHttpRequest, because `fetch` reports no upload progress. */
export async function putFile(
  url: string,
  file: File,
  { headers, isWithCookies = false }: PutOptions,
  onProgress: OnProgress,
  signal: AbortSignal
): Promise<unknown> {
  return await new Promise<unknown>((resolve, reject) => {
    const request = new XMLHttpRequest()
    const abort = (): void => {
      request.abort()
    }
    signal.addEventListener('abort', abort, { once: true })
    request.upload.onprogress = ({ loaded, lengthComputable, total }) => {
      onProgress(loaded, lengthComputable ? total : null)
    }
    request.onload = () => {
      const { status, responseText } = request
      if (status === 201 || status === 200) resolve(parse(responseText))
      else reject(readProblem(status, { get: (name) => request.getResponseHeader(name) }, responseText))
    }
    request.onerror = () => {
      reject(new PickerProblem('NETWORK'))
    }
    request.onabort = () => {
      reject(signal.reason)
    }
    request.onloadend = () => {
      signal.removeEventListener('abort', abort)
    }
    request.open('PUT', url)
    request.withCredentials = isWithCookies
    request.setRequestHeader('accept', 'application/json')
    request.setRequestHeader('if-none-match', '*')
    request.setRequestHeader('content-type', file.type || 'application/octet-stream')
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.send(file)
  }).then((answer) => {
    if (answer === undefined) throw new PickerProblem('BAD_ANSWER')
    return answer
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
