/* boardinfo: print what a board says of itself, one line for each thing that it knows. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Print the first line of a file behind a label; say nothing of a file that is not there. */
static void show(const char *label, const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        printf("%-8s %s\n", label, line);
    }
    fclose(file);
}

int main(void)
{
    struct utsname system;
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);

    show("board", "/proc/device-tree/model");
    show("serial", "/proc/device-tree/serial-number");
    if (uname(&system) == 0)
        printf("%-8s %s %s\n", "kernel", system.release, system.machine);
    printf("%-8s %ld\n", "cores", sysconf(_SC_NPROCESSORS_ONLN));
    if (pages > 0 && page_bytes > 0)
        printf("%-8s %lld MiB\n", "memory", (long long)pages * page_bytes >> 20);
    return 0;
}
