// Unpacks archives as Java does, by the directory and as a stream: java Unpack.java ARCHIVE DIRECTORY STREAMED ...
import java.io.*;
import java.nio.file.*;
import java.util.*;
import java.util.zip.*;

class Unpack {
    static void write(Path below, ZipEntry entry, InputStream content) throws IOException {
        Path path = below.resolve(entry.getName());
        if (entry.isDirectory()) {
            Files.createDirectories(path);
        } else {
            Files.createDirectories(path.getParent());
            Files.copy(content, path);
        }
    }

    public static void main(String[] names) throws IOException {
        for (int i = 0; i < names.length; i += 3) {
            try (ZipFile file = new ZipFile(names[i])) {
                for (ZipEntry entry : Collections.list(file.entries())) {
                    write(Path.of(names[i + 1]), entry, file.getInputStream(entry));
                }
            }
            try (ZipInputStream stream = new ZipInputStream(new FileInputStream(names[i]))) {
                for (ZipEntry entry; (entry = stream.getNextEntry()) != null; ) {
                    write(Path.of(names[i + 2]), entry, stream);
                }
            }
        }
    }
}
