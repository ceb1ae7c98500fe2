import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** Submits a job and prints its result; the second argument is HTTP_1_1 or HTTP_2 (by upgrade). */
public class Client {
    private static HttpClient client;
    private static String base;

    public static void main(String[] arguments) throws Exception {
        base = arguments[0];
        HttpClient.Version version = HttpClient.Version.valueOf(arguments[1]);
        client = HttpClient.newBuilder().version(version).build();
        HttpResponse<String> posted = ask(request("/v1/jobs")
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(
                "{\"function\":\"square\",\"args\":[12]}")), 202);
        String place = posted.headers().firstValue("Location").orElseThrow();
        ask(request(place + "?wait=20"), 200);
        HttpResponse<String> result = ask(request(place + "/result"), 200);
        if (result.version() != version) {
            throw new IllegalStateException("spoke " + result.version());
        }
        System.out.println(result.body().trim());
    }

    private static HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofSeconds(30));
    }

    private static HttpResponse<String> ask(HttpRequest.Builder request, int status)
            throws Exception {
        HttpResponse<String> answer =
            client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != status) {
            throw new IllegalStateException(answer.statusCode() + " " + answer.body());
        }
        return answer;
    }
}
