/* Says the words of app-misc/greeting. */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
    FILE *words = fopen("/usr/share/greeting/words", "r");
    int sign;

    if (!words)
        return 1;
    while ((sign = fgetc(words)) != EOF)
#ifdef LOUD
        putchar(toupper(sign));
#else
        putchar(sign);
#endif
    return 0;
}
