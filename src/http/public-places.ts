import { StorageError } from '../domain/errors.ts'

/** Where browsers find the application. All of it comes from the configuration, nothing from a request. */
export interface PublicPlaces {
  /** Where a provider sends users back to: what is registered there. */
  redirectUri(providerId: string): URL
  /**
   * Where a user goes in the end, as a whole URL; left out: the application's own start.
   *
   * @throws StorageError `INVALID_REQUEST` for a place that is neither inside the application nor on an allowed origin
   */
  returnTo(given: string | undefined): string
}

/**
 * @param prefix of our routes, as the application is reached at `publicUrl`
 * @param allowedOrigins origins of front ends elsewhere
 */
export function publicPlaces(
  publicUrl: URL | undefined,
  prefix: string,
  allowedOrigins: ReadonlySet<string>
): PublicPlaces {
  const base = (): URL => {
    // The options are checked: without it there is no provider that needs one.
    if (publicUrl === undefined) throw new StorageError('INTERNAL', 'There is no publicUrl')
    return new URL(publicUrl.pathname.replace(/(?<!\/)\/*$/, '/'), publicUrl)
  }
  return {
    redirectUri(providerId) {
      const url = base()
      url.pathname += `${prefix.replace(/^\/+/, '')}/connections/${providerId}/callback`
      return url
    },
    returnTo(given) {
      const inside = base()
      if (given === undefined) return inside.href
      const url = URL.canParse(given, inside.href) ? new URL(given, inside) : null
      // The place itself is inside, with and without its slash.
      const isInside = url?.origin === inside.origin && `${url.pathname}/`.startsWith(inside.pathname)
      const isTrusted = url !== null && (isInside || allowedOrigins.has(url.origin))
      if (isTrusted && url.username + url.password === '') return url.href
      throw new StorageError(
        'INVALID_REQUEST',
        'body/returnTo must be inside of the application or on an allowed origin.'
      )
    }
  }
}
