<?php
// A router for `php -S`: sabre/dav over one folder. sabre.ts sets the environment variables.

// sabre/dav 1.8 predates PHP 8, and its deprecation notices would appear in each response.
error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('display_errors', '0');
date_default_timezone_set('UTC');

// FSExt ignores the result of file_put_contents: without this, a name that is too long counts as "created".
set_error_handler(function (int $severity, string $message, string $file, int $line): bool {
    if (error_reporting() & $severity) {
        throw new ErrorException($message, 0, $severity, $file, $line);
    }
    return true;
});

require_once 'Sabre/autoload.php';

class BasicBackend extends Sabre\DAV\Auth\Backend\AbstractBasic
{
    protected function validateUserPass($username, $password)
    {
        return $username === getenv('SABRE_USERNAME') && $password === getenv('SABRE_PASSWORD');
    }
}

class BearerBackend implements Sabre\DAV\Auth\Backend\BackendInterface
{
    public function authenticate(Sabre\DAV\Server $server, $realm)
    {
        if ($server->httpRequest->getHeader('Authorization') === 'Bearer ' . getenv('SABRE_TOKEN')) {
            return true;
        }
        $server->httpResponse->setHeader('WWW-Authenticate', "Bearer realm=\"$realm\"");
        throw new Sabre\DAV\Exception\NotAuthenticated('The token is not the right one');
    }

    public function getCurrentUser()
    {
        return getenv('SABRE_USERNAME');
    }
}

// Nextcloud's chunked uploads: uploads/USER/ID/ contains chunks, and its `.file` is their concatenation.
class Uploads extends Sabre\DAV\FSExt\Directory
{
    public function getChild($name)
    {
        @mkdir("$this->path/$name", 0700, true);
        return new UploadsOfUser("$this->path/$name");
    }
}

class UploadsOfUser extends Sabre\DAV\FSExt\Directory
{
    public function getChild($name)
    {
        parent::getChild($name);
        return new Upload("$this->path/$name");
    }
}

class Upload extends Sabre\DAV\FSExt\Directory
{
    public function getChild($name)
    {
        return $name === '.file' ? new AssembledFile($this) : parent::getChild($name);
    }

    public function childExists($name)
    {
        return $name === '.file' || parent::childExists($name);
    }
}

class AssembledFile extends Sabre\DAV\File
{
    private $upload;

    public function __construct(Upload $upload)
    {
        $this->upload = $upload;
    }

    public function getName()
    {
        return '.file';
    }

    public function get()
    {
        $chunks = $this->upload->getChildren();
        usort($chunks, fn ($a, $b) => (int) $a->getName() <=> (int) $b->getName());
        $whole = tmpfile();
        foreach ($chunks as $chunk) {
            stream_copy_to_stream($chunk->get(), $whole);
        }
        rewind($whole);
        return $whole;
    }

    public function delete()
    {
        $this->upload->delete();
    }
}

$root = new Sabre\DAV\FSExt\Directory(getenv('SABRE_FOLDER'));
if (getenv('SABRE_UPLOADS') !== false) {
    @mkdir(getenv('SABRE_UPLOADS'), 0700);
    $root = new Sabre\DAV\SimpleCollection('root', [$root, new Uploads(getenv('SABRE_UPLOADS'))]);
}
$server = new Sabre\DAV\Server($root);
$server->setBaseUri(getenv('SABRE_BASE_PATH'));
$backend = getenv('SABRE_AUTH') === 'bearer' ? new BearerBackend() : new BasicBackend();
$server->addPlugin(new Sabre\DAV\Auth\Plugin($backend, 'sabre'));
// FSExt stores properties in files of this name. It does not list them, but would serve and overwrite them.
$server->subscribeEvent('beforeMethod', function (string $method, string $path): bool {
    if (preg_match('~(^|/)\.sabredav(/|$)~', $path) === 1) {
        throw new Sabre\DAV\Exception\Forbidden('The name belongs to the server');
    }
    return true;
});
$server->exec();
