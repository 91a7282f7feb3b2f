import type { ServerResponse } from 'node:http'
import type { UploadSession } from '@microsoft/microsoft-graph-types'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphFailure, GraphMistake, itemNotFound } from './failure.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { FakeGraphLinks, newSecret } from './links.ts'
import { sendJson } from '../fake-server.ts'
import type { GraphKind } from './node.ts'

export const FRAGMENT_UNIT = 320 * 1024
/** Fragments must be shorter than this. */
const FRAGMENT_LIMIT = 60 * 1024 * 1024
const LIFETIME_MS = 7 * 24 * 60 * 60 * 1000

export interface UploadPlan {
  /** The declared length of the file, if any. */
  readonly fileSize: number | undefined
  /** Creates the file or its new content, and responds. If it throws a CloudFailure, the session stays open. */
  readonly complete: (content: Buffer, response: ServerResponse) => void
}

interface Session extends UploadPlan {
  readonly expires: Date
  total: number | undefined
  readonly fragments: Buffer[]
  storedBytes: number
}

/** Upload sessions (Microsoft's page "driveItem: createUploadSession"). */
export class FakeGraphUploads {
  readonly #links = new FakeGraphLinks<Session>()
  readonly #knobs: FakeGraphKnobs
  readonly #kind: GraphKind
  readonly #now: () => Date

  constructor(knobs: FakeGraphKnobs, kind: GraphKind, now: () => Date) {
    this.#knobs = knobs
    this.#kind = kind
    this.#now = now
  }

  /** Sessions that are neither completed nor cancelled. */
  get open(): number {
    return this.#links.values().length
  }

  expire(): void {
    this.#links.expire()
  }

  createSession(origin: string, plan: UploadPlan): UploadSession {
    const expires = new Date(this.#now().getTime() + LIFETIME_MS)
    const session = { ...plan, expires, total: plan.fileSize, fragments: [], storedBytes: 0 }
    const secret = newSecret()
    const url =
      this.#kind === 'business'
        ? `${origin}/personal/me/_api/v2.0/uploadSession?guid='${secret}'&overwrite=True&rename=False&dc=0&tempauth=v1.a`
        : `${origin}/up/${secret}`
    return {
      uploadUrl: this.#links.add(url, session),
      expirationDateTime: expires.toISOString(),
      nextExpectedRanges: ['0-']
    }
  }

  status(request: FakeCloudRequest, response: ServerResponse): void {
    sendJson(response, 200, this.#expected(this.#session(request)))
  }

  cancel(request: FakeCloudRequest, response: ServerResponse): void {
    this.#session(request)
    this.#links.revoke(request)
    response.writeHead(204).end()
  }

  /** Stores a fragment. An interrupted one is discarded, as Microsoft documents. */
  put(request: FakeCloudRequest, response: ServerResponse): void {
    const session = this.#session(request)
    const body = request.body ?? Buffer.alloc(0)
    this.#check(session, request, body)
    const storedLength = this.#knobs.storedFragmentBytes.shift() ?? body.length
    if (storedLength !== body.length && storedLength % FRAGMENT_UNIT !== 0)
      throw new Error(`the test keeps ${storedLength} bytes`)
    session.fragments.push(body.subarray(0, storedLength))
    session.storedBytes += Math.min(storedLength, body.length)
    const losesResponse = this.#knobs.lostFragmentResponses > 0
    if (losesResponse) {
      this.#knobs.lostFragmentResponses--
      response.socket?.resetAndDestroy()
    }
    if (session.storedBytes === session.total) {
      session.complete(Buffer.concat(session.fragments), response)
      this.#links.revoke(request)
    } else if (!losesResponse) sendJson(response, 202, this.#expected(session))
  }

  #check(session: Session, { headers }: FakeCloudRequest, { length }: Buffer): void {
    const range = headers['content-range'] ?? ''
    const [first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range)?.slice(1).map(Number) ?? []
    if (first === undefined || last === undefined || total === undefined) {
      throw new GraphMistake(`the Content-Range ${range}`)
    }
    const declaredLength = last - first + 1
    session.total ??= total
    if (declaredLength !== length) throw new GraphMistake(`${declaredLength} bytes are announced, and ${length} come`)
    if (total !== session.total)
      throw new GraphMistake(`${total} bytes in all, where ${session.total} were said before`)
    if (last >= total) throw new GraphMistake(`a fragment to ${last} of ${total} bytes`)
    if (length >= FRAGMENT_LIMIT) throw new GraphMistake(`a fragment of ${length} bytes`)
    if (last + 1 < total && length % FRAGMENT_UNIT !== 0) {
      throw new GraphMistake(`a fragment of ${length} bytes that is not the last`)
    }
    // A retry of a client that has not received the response.
    if (first < session.storedBytes) throw new GraphFailure({ code: 'invalidRange' })
    if (first > session.storedBytes) {
      throw new GraphMistake(`a fragment from ${first}, where ${session.storedBytes} are stored`, {
        code: 'invalidRange'
      })
    }
  }

  #expected({ expires, storedBytes, total }: Session): UploadSession {
    const last = this.#kind === 'business' && total !== undefined ? total - 1 : ''
    return {
      expirationDateTime: expires.toISOString(),
      nextExpectedRanges: storedBytes === total ? [] : [`${storedBytes}-${last}`]
    }
  }

  #session(request: FakeCloudRequest): Session {
    const session = this.#links.find(request)
    if (session === undefined) throw itemNotFound()
    return session
  }
}
