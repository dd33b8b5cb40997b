# Strings, hashes, lists, regular expressions, closures and a child process.
use strict;
use warnings;

my %count;
for my $i (1 .. 150000) {
    my $word = join '-', map { chr(97 + ($i * $_) % 26) } 1 .. ($i % 9 + 1);
    $count{$word}++;
}
my @frequent = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print scalar(@frequent), " $_ $count{$_}\n" for @frequent[0 .. 4];

my $text = join ' ', map { "item$_=" . ($_ * 37 % 1009) } 1 .. 40000;
my %value = $text =~ /(item\d+)=(\d+)/g;
$text =~ s/item(\d+)=(\d+)/$2:$1/g;
print length($text), ' ', scalar(keys %value), "\n";

my @tree = map { my $n = $_; { name => "node $n", children => [map { [$n, $_] } 1 .. $n % 12] } }
    1 .. 30000;
my $children = 0;
$children += @{ $_->{children} } for @tree;
my @closures = map { my $k = $_; sub { $k + shift } } 1 .. 20000;
my $sum = 0;
$sum += $_->(1) for @closures;
print "$children $sum\n";

my $long = '';
$long .= pack('N', $_) for 1 .. 200000;
print unpack('%32N*', $long), "\n";
print `echo from a child`;
