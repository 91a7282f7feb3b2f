import { StorageError } from '../domain/errors.ts'

/** The URLs of the application for browsers. They depend only on the configuration, never on a request. */
export interface PublicPlaces {
  /** Returns the redirect URI that is registered at the provider. */
  redirectUri(providerId: string): URL
  /**
   * Returns the absolute URL to which the user returns in the end. Default: the start page of the application.
   *
   * @throws StorageError `INVALID_REQUEST` for a URL that is neither inside the application nor on an allowed origin
   */
  returnTo(given: string | undefined): string
}

/**
 * @param prefix of the plugin's routes, below `publicUrl`
 * @param allowedOrigins origins of other front ends
 */
export function publicPlaces(
  publicUrl: URL | undefined,
  prefix: string,
  allowedOrigins: ReadonlySet<string>
): PublicPlaces {
  const base = (): URL => {
    // The check of the options ensures that it is set if a provider needs it.
    if (publicUrl === undefined) throw new StorageError('INTERNAL', 'The option publicUrl is not set')
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
      // The base URL itself is inside, with and without its trailing slash.
      const isInside = url?.origin === inside.origin && `${url.pathname}/`.startsWith(inside.pathname)
      const isTrusted = url !== null && (isInside || allowedOrigins.has(url.origin))
      if (isTrusted && url.username + url.password === '') return url.href
      throw new StorageError(
        'INVALID_REQUEST',
        'body/returnTo must be a URL of the application or of an allowed origin.'
      )
    }
  }
}
