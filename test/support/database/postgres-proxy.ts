import type { Test } from 'tap'
import { PostgresFrames, readNotification } from './postgres-frames.ts'
import { TcpProxy, type ProxyTarget, type Transform } from '../process/tcp-proxy.ts'

/** A number delays the notification by that many milliseconds, behind later frames. */
export type NotificationVerdict = 'pass' | 'drop' | number

/** A proxy for PostgreSQL that drops or delays notifications and passes everything else. Does not support TLS. */
export class PostgresProxy extends TcpProxy {
  /** Decides the fate of each notification, on all connections. */
  onNotification: (payload: string, channel: string) => NotificationVerdict = () => 'pass'

  /** Stops at teardown. */
  static override async start(t: Test, target: ProxyTarget): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(target)
    await proxy.listen(t)
    return proxy
  }

  /** Works on whole frames, so that a delayed frame is never inserted into another one. */
  protected override fromServer(): Transform {
    const frames = new PostgresFrames()
    return (chunk) =>
      frames.push(chunk).flatMap((bytes) => {
        const notification = readNotification(bytes)
        const verdict = notification ? this.onNotification(notification.payload, notification.channel) : 'pass'
        if (verdict === 'drop') return []
        return [{ bytes, lateMs: verdict === 'pass' ? 0 : verdict }]
      })
  }
}
