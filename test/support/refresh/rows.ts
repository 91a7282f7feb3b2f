import { parseTokens, serialiseTokens } from '../../../src/connections/tokens.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createCredentialCipher } from '../../../src/crypto/credentials.ts'
import { createKeyRing, type KeyRingOptions } from '../../../src/crypto/key-ring.ts'
import { createConnectionStore } from '../../../src/db/connection-store.ts'
import type { Database } from '../../../src/db/open-database.ts'
import type { FakeTokenResponse } from '../../fakes/oauth/grants.ts'

type Prisma = Database['prisma']
type Tokens = Pick<FakeTokenResponse, 'access_token' | 'refresh_token'>

const HOUR_MS = 3_600_000

export interface RowTokens {
  readonly userId?: string
  /** Remaining lifetime of the access token according to the row. Default: an hour; negative means expired. */
  readonly leftMs?: number
}

/** Rows of a cloud, with tokens sealed like the plugin's under the given keys. */
export class RefreshRows {
  readonly #prisma: Prisma
  readonly #provider: string
  readonly #cipher: ReturnType<typeof createCredentialCipher>

  constructor(prisma: Prisma, keys: KeyRingOptions, provider = 'cloud') {
    this.#prisma = prisma
    this.#provider = provider
    this.#cipher = createCredentialCipher(createKeyRing(keys))
  }

  /** Adds a row with these tokens. Returns its ID. */
  async add(tokens: Tokens, { userId = 'ann', leftMs = HOUR_MS }: RowTokens = {}): Promise<string> {
    const store = createConnectionStore(this.#prisma)
    const connection = { userId, provider: this.#provider, accountId: 'account', label: 'Mine', scopes: [] }
    const saved = await store.saveConnected(connection, (id) => this.#seal(id, userId, tokens, leftMs), 100)
    return saved.id
  }

  /** Replaces the tokens of a row, or their expiry. */
  async replace(id: string, tokens: Tokens, leftMs: number): Promise<void> {
    const { userId } = await this.read(id)
    const credentials = this.#seal(id, userId, tokens, leftMs)
    await this.#prisma.cloudConnection.update({ where: { id }, data: { credentials } })
  }

  /** Omits the time of last use, which is updated independently. */
  read(id: string) {
    return this.#prisma.cloudConnection.findUniqueOrThrow({
      where: { id },
      omit: { lastUsedAt: true, updatedAt: true }
    })
  }

  async tokens(id: string): Promise<{ accessToken: string; refreshToken: string | undefined }> {
    const { userId, provider, credentials } = await this.read(id)
    const opened = parseTokens(this.#cipher.open(credentials, { userId, provider, id }))
    return { accessToken: opened.accessToken.reveal(), refreshToken: opened.refreshToken?.reveal() }
  }

  #seal(id: string, userId: string, tokens: Tokens, leftMs: number): string {
    const expiresAt = Date.now() + leftMs
    const serialised = serialiseTokens({
      accessToken: new Secret(tokens.access_token),
      refreshToken: tokens.refresh_token === undefined ? null : new Secret(tokens.refresh_token),
      obtainedAt: expiresAt - HOUR_MS,
      expiresAt
    })
    return this.#cipher.seal(serialised, { userId, provider: this.#provider, id })
  }
}
