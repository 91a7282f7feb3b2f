import type { Test } from 'tap'
import { PostgresFrames, readNotification } from './postgres-frames.ts'
import { TcpProxy, type ProxyTarget, type Transform } from './tcp-proxy.ts'

/** A number: it comes so many milliseconds later, behind frames that the server sent after it. */
export type NotificationFate = 'pass' | 'drop' | number

/** In front of a PostgreSQL server: loses or delays what it notifies of, and lets all else pass. Not for TLS. */
export class PostgresProxy extends TcpProxy {
  /** What becomes of each notification, on every connection. */
  onNotification: (payload: string, channel: string) => NotificationFate = () => 'pass'

  /** Ends with the test. */
  static override async start(t: Test, target: ProxyTarget): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(target)
    await proxy.listen(t)
    return proxy
  }

  /** Of whole frames, so that none comes into the middle of another. */
  protected override fromServer(): Transform {
    const frames = new PostgresFrames()
    return (chunk) =>
      frames.push(chunk).flatMap((bytes) => {
        const notification = readNotification(bytes)
        const fate = notification ? this.onNotification(notification.payload, notification.channel) : 'pass'
        if (fate === 'drop') return []
        return [{ bytes, lateMs: fate === 'pass' ? 0 : fate }]
      })
  }
}
