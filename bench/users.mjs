// The users of the benchmark. All servers use the same `authenticate`, as cheap as possible: it is not measured.

export const USERS = 200

export const userOf = (index) => `user-${index}`
export const authorizationOf = (index) => `Bearer ${Buffer.from(`token of user ${index}`).toString('base64url')}`

const byAuthorization = new Map(Array.from({ length: USERS }, (_, index) => [authorizationOf(index), userOf(index)]))

export function authenticate(request) {
  return byAuthorization.get(request.headers.authorization)
}
